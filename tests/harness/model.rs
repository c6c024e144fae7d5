//! The reference model: what must be true of all that was posted, of all that the receiver
//! saw and of all that the daemon tells, however often it died in between. Pure: a story
//! goes in, what is wrong with it comes out.
//!
//! Time is counted in ticks: one for everything that the test noticed, in that order. What
//! is said about durability follows from order alone, so a slow machine changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

mod tests;

/// One round, from the first event posted to the last delivered.
#[derive(Clone, Default)]
pub struct Story {
    pub subscriptions: Vec<Subscription>,
    pub posts: Vec<Post>,
    pub seen: Vec<Seen>,
    /// When the daemon died; nothing of an earlier life was seen after it.
    pub deaths: Vec<u64>,
    /// What `why` says in the end; an event that is not here is not known.
    pub told: BTreeMap<i64, Vec<Told>>,
    pub standings: BTreeMap<String, Standing>,
    /// When somebody enabled a subscription by hand, on the clock of attempts.
    pub enabled: Vec<(String, i64)>,
}

/// What is known of a subscription beforehand.
#[derive(Clone)]
pub struct Subscription {
    pub name: String,
    /// All its events are one lane, one at a time.
    pub serial: bool,
    /// It stood in the config all the time.
    pub always: bool,
    /// Its plugin lets this event through.
    pub wants: fn(i64) -> bool,
    /// Attempts of one delivery, and failed ones in a row that disable.
    pub attempts: u32,
    pub disable_after: u32,
    /// Delivered before the story began.
    pub delivered_before: u64,
}

/// One request of a sender.
#[derive(Clone)]
pub struct Post {
    pub begun: u64,
    pub ended: u64,
    pub ids: Vec<i64>,
    /// The 202, or none: then anything may have become of it, but all of it the same.
    pub receipts: Option<Vec<Receipt>>,
}

#[derive(Clone)]
pub struct Receipt {
    pub id: i64,
    pub duplicate: bool,
    /// For whom it waits; Track is not told.
    pub queued: Option<BTreeSet<String>>,
}

/// A request that the receiver answered.
#[derive(Clone)]
pub struct Seen {
    pub tick: u64,
    pub subscription: String,
    pub id: i64,
    pub entity: i64,
    pub ok: bool,
}

/// A line of `why`.
#[derive(Clone)]
pub struct Told {
    pub subscription: String,
    pub outcome: String,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Copy)]
pub struct Attempt {
    pub at: i64,
    pub ok: bool,
}

/// A line of `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: String,
    pub delivered: u64,
    pub failed_attempts: u32,
    pub pending: u64,
}

/// What is wrong, and what had to be done twice.
#[derive(Debug, Default)]
pub struct Judgement {
    pub wrongs: Vec<String>,
    /// Requests for a delivery that had been answered 2xx before.
    pub doubles: usize,
}

pub fn judge(story: &Story) -> Judgement {
    let mut posts: HashMap<i64, Vec<&Post>> = HashMap::new();
    for post in &story.posts {
        let ids: BTreeSet<i64> = post.ids.iter().copied().collect();
        ids.into_iter().for_each(|id| posts.entry(id).or_default().push(post));
    }
    let (judge, mut judgement) = (Judge { story, posts }, Judgement::default());
    judge.what_was_posted(&mut judgement.wrongs);
    judge.what_was_decided(&mut judgement.wrongs);
    judge.what_was_seen(&mut judgement);
    for subscription in &story.subscriptions {
        judge.in_order(subscription, &mut judgement.wrongs);
        judge.stands_as_it_should(subscription, &mut judgement.wrongs);
    }
    judgement
}

struct Judge<'a> {
    story: &'a Story,
    posts: HashMap<i64, Vec<&'a Post>>,
}

impl Judge<'_> {
    /// Acknowledged is known; of a request all or nothing; new only once.
    fn what_was_posted(&self, wrongs: &mut Vec<String>) {
        let mut posts: Vec<&Post> = self.story.posts.iter().collect();
        posts.sort_by_key(|post| post.begun);
        let mut posted: BTreeSet<i64> = BTreeSet::new();
        let mut new = BTreeSet::new();
        for post in posts {
            let first: BTreeSet<i64> = post.ids.iter().copied().filter(|id| !posted.contains(id)).collect();
            posted.extend(&first);
            let Some(receipts) = &post.receipts else {
                let alone = first.iter().filter(|id| self.posts_of(**id).count() == 1);
                let known = alone.map(|id| self.story.told.contains_key(id)).collect::<BTreeSet<_>>();
                if known.len() > 1 {
                    wrongs.push(format!("half of a request was kept: {:?}", post.ids));
                }
                continue;
            };
            for receipt in receipts {
                if !self.story.told.contains_key(&receipt.id) {
                    wrongs.push(format!("lost: event {} was acknowledged and is not known", receipt.id));
                }
                if !receipt.duplicate && !new.insert(receipt.id) {
                    wrongs.push(format!("event {} was taken as new twice", receipt.id));
                }
            }
        }
    }

    fn posts_of(&self, id: i64) -> impl Iterator<Item = &Post> {
        self.posts.get(&id).into_iter().flatten().copied()
    }

    /// Every subscription has decided once about every event that is known, and as it must.
    fn what_was_decided(&self, wrongs: &mut Vec<String>) {
        for (id, lines) in &self.story.told {
            for subscription in &self.story.subscriptions {
                let of = lines.iter().filter(|line| line.subscription == subscription.name);
                match (of.clone().count(), of.clone().next()) {
                    (0, _) if subscription.always => {
                        wrongs.push(format!("half of event {id}: no decision of `{}`", subscription.name));
                    }
                    (1, Some(line)) => self.decided(*id, subscription, line, wrongs),
                    (0, _) => {}
                    (count, _) => {
                        wrongs.push(format!("`{}` decided {count} times on {id}", subscription.name))
                    }
                }
            }
            let queued: BTreeSet<_> =
                lines.iter().filter(|line| line.was_queued()).map(|l| &l.subscription).collect();
            let always = |name: &String| self.story.subscriptions.iter().any(|s| s.always && s.name == *name);
            let receipts = self.posts_of(*id).filter_map(|post| post.receipts.as_ref()).flatten();
            let heard =
                receipts.filter(|receipt| receipt.id == *id).filter_map(|receipt| receipt.queued.as_ref());
            for heard in heard {
                let missing = queued.iter().any(|name| always(name) && !heard.contains(*name));
                if missing || heard.iter().any(|name| !queued.contains(name)) {
                    wrongs.push(format!("event {id} was queued for {queued:?}, the sender heard {heard:?}"));
                }
            }
        }
    }

    fn decided(&self, id: i64, subscription: &Subscription, line: &Told, wrongs: &mut Vec<String>) {
        let name = &subscription.name;
        let last = line.attempts.last().map(|attempt| attempt.ok);
        let right = match line.outcome.as_str() {
            "delivered" => (subscription.wants)(id) && last == Some(true),
            "failed" => (subscription.wants)(id) && last == Some(false),
            "skipped_plugin" => !(subscription.wants)(id) && last.is_none(),
            "skipped_disabled" => last.is_none(),
            _ => false,
        };
        if !right {
            wrongs.push(format!("event {id} for `{name}` is `{}`, its last attempt {last:?}", line.outcome));
        }
    }

    /// What the receiver saw and what `why` remembers are the same, but for what a crash
    /// may forget. What it forgets is done again.
    fn what_was_seen(&self, judgement: &mut Judgement) {
        let mut seen: BTreeMap<(&str, i64), Vec<&Seen>> = BTreeMap::new();
        for request in &self.story.seen {
            seen.entry((&request.subscription, request.id)).or_default().push(request);
        }
        for ((name, id), requests) in &seen {
            let line = self
                .story
                .told
                .get(id)
                .and_then(|lines| lines.iter().find(|line| line.subscription == *name));
            let Some(line) = line.filter(|line| line.was_queued() && line.outcome != "skipped_plugin") else {
                judgement.wrongs.push(format!("event {id} came to `{name}`, which was not to get it"));
                continue;
            };
            let first = requests.iter().position(|request| request.ok).unwrap_or(requests.len());
            judgement.doubles += requests.len().saturating_sub(first + 1);
            let mut lives = vec![Vec::new(); self.story.deaths.len() + 1];
            for request in requests {
                lives[self.life_of(request.tick)].push(*request);
            }
            let record: Vec<bool> = line.attempts.iter().map(|attempt| attempt.ok).collect();
            if !self.remembers(&lives, 0, &record) {
                let lives: Vec<Vec<bool>> =
                    lives.iter().map(|life| life.iter().map(|r| r.ok).collect()).collect();
                judgement.wrongs.push(format!(
                    "event {id} at `{name}`: the receiver answered {lives:?} (life by life, true is 2xx), \
                     `why` has {record:?}: forgotten, invented or over-bound double"
                ));
            }
        }
        for (id, line) in
            self.story.told.iter().flat_map(|(id, lines)| lines.iter().map(move |line| (*id, line)))
        {
            if !line.attempts.is_empty() && !seen.contains_key(&(line.subscription.as_str(), id)) {
                judgement.wrongs.push(format!("lost: event {id} never came to `{}`", line.subscription));
            }
        }
    }

    fn life_of(&self, tick: u64) -> usize {
        self.story.deaths.iter().filter(|death| **death < tick).count()
    }

    /// Whether the record is what the lives saw, each up to where its crash may have cut off.
    fn remembers(&self, lives: &[Vec<&Seen>], life: usize, record: &[bool]) -> bool {
        let Some((now, later)) = lives.split_first() else { return record.is_empty() };
        let same = now.iter().zip(record).take_while(|(seen, told)| seen.ok == **told).count();
        (0..=same).any(|kept| {
            let (remembered, forgotten) = now.split_at(kept);
            let ended = remembered.iter().any(|request| request.ok);
            let was_all = forgotten.is_empty() && later.iter().all(Vec::is_empty);
            let may_forget = |request: &&Seen| !later.is_empty() && !self.was_durable(request, life);
            forgotten.iter().all(may_forget)
                && (was_all || !ended)
                && self.remembers(later, life + 1, &record[kept..])
        })
    }

    /// Whether this answer was surely written down before the daemon died. The next of its
    /// lane is sent only after it is settled; events that are posted after that are written
    /// together with it, or later; and they were acknowledged.
    fn was_durable(&self, request: &Seen, life: usize) -> bool {
        let death = self.story.deaths[life];
        let acknowledged =
            self.story.posts.iter().filter(|post| post.receipts.is_some() && post.ended < death);
        let Some(begun) = acknowledged.map(|post| post.begun).max() else { return false };
        let lane =
            |seen: &&Seen| seen.subscription == request.subscription && self.lane(seen) == self.lane(request);
        self.story.seen.iter().filter(lane).any(|next| request.tick < next.tick && next.tick < begun)
    }

    fn lane(&self, seen: &Seen) -> i64 {
        let serial = self.story.subscriptions.iter().any(|one| one.serial && one.name == seen.subscription);
        if serial { 0 } else { seen.entity }
    }

    /// Of two events of a lane the earlier id is delivered first, if it was there when the
    /// other one was posted and had not used up its attempts.
    fn in_order(&self, subscription: &Subscription, wrongs: &mut Vec<String>) {
        let mut lanes: HashMap<i64, BTreeMap<i64, u64>> = HashMap::new();
        for seen in self.story.seen.iter().filter(|seen| seen.ok && seen.subscription == subscription.name) {
            let first = lanes.entry(self.lane(seen)).or_default().entry(seen.id).or_insert(seen.tick);
            *first = seen.tick.min(*first);
        }
        for firsts in lanes.values() {
            let mut latest = 0;
            for (later, at) in firsts {
                if *at >= latest {
                    latest = *at;
                    continue;
                }
                let posted = self.posts_of(*later).map(|post| post.begun).min().unwrap_or_default();
                let overtaken = firsts.range(..later).find(|(id, first)| {
                    **first > *at && self.there(**id) < posted && !self.given_up(subscription, **id, *at)
                });
                if let Some((earlier, _)) = overtaken {
                    let (name, deaths) = (&subscription.name, &self.story.deaths);
                    let (earlier, later) = (self.answers(name, *earlier), self.answers(name, *later));
                    wrongs.push(format!("`{name}`: {later} overtook {earlier}; deaths at {deaths:?}"));
                }
            }
        }
    }

    /// Failed as often as it may, before this tick. A crash may forget that, and then it is
    /// tried again after those that came behind it.
    fn given_up(&self, subscription: &Subscription, id: i64, before: u64) -> bool {
        let of = |seen: &&Seen| seen.subscription == subscription.name && seen.id == id && !seen.ok;
        let failed = self.story.seen.iter().filter(of).filter(|seen| seen.tick < before).count();
        failed >= subscription.attempts as usize
    }

    /// For people: how an event fared at the receiver, and when it was there at the latest.
    fn answers(&self, name: &str, id: i64) -> String {
        let of = self.story.seen.iter().filter(|seen| seen.subscription == name && seen.id == id);
        let answers: Vec<_> =
            of.map(|seen| format!("{} at {}", if seen.ok { "2xx" } else { "500" }, seen.tick)).collect();
        format!("event {id} (there at {}, {})", self.there(id), answers.join(", "))
    }

    /// From when on an event was there, if it ever was.
    fn there(&self, id: i64) -> u64 {
        let taken = self.posts_of(id).filter(|post| post.receipts.is_some()).map(|post| post.ended).min();
        taken.or_else(|| self.posts_of(id).map(|post| post.ended).max()).unwrap_or(u64::MAX)
    }

    fn stands_as_it_should(&self, subscription: &Subscription, wrongs: &mut Vec<String>) {
        let name = &subscription.name;
        let lines = self.story.told.values().flatten().filter(|line| line.subscription == *name);
        let count = lines.clone().filter(|line| line.outcome == "delivered").count() as u64;
        let rule = self.apply_the_rule(subscription, wrongs);
        let wanted = Standing { delivered: subscription.delivered_before + count, pending: 0, ..rule };
        match self.story.standings.get(name) {
            Some(found) if *found == wanted => {}
            found => wrongs.push(format!("`{name}` should stand as {wanted:?}, stands as {found:?}")),
        }
    }

    /// Track's rule over the attempts that are remembered, for a subscription that makes one
    /// at a time: which deliveries fail for good, and how it stands in the end.
    fn apply_the_rule(&self, subscription: &Subscription, wrongs: &mut Vec<String>) -> Standing {
        let (mut failed, mut disabled, mut ever) = (0, false, false);
        let mut tried: HashMap<i64, u32> = HashMap::new();
        let mut ended = BTreeSet::new();
        for (_, step) in self.steps(subscription) {
            match step {
                None => (failed, disabled, tried) = (0, false, HashMap::new()),
                Some((_, true)) => (failed, tried) = (0, HashMap::new()),
                Some((id, false)) => {
                    failed += 1;
                    disabled = failed >= subscription.disable_after;
                    ever |= disabled;
                    let tried = tried.entry(id).or_default();
                    *tried += 1;
                    if !disabled && *tried >= subscription.attempts {
                        ended.insert(id);
                    }
                }
            }
        }
        let told = self.with_outcome(subscription, "failed");
        if told != ended {
            wrongs.push(format!(
                "`{}`: {ended:?} should have failed for good, {told:?} did",
                subscription.name
            ));
        }
        let skipped = self.with_outcome(subscription, "skipped_disabled");
        if !ever && !skipped.is_empty() {
            wrongs.push(format!("`{}` was never disabled, and skipped {skipped:?}", subscription.name));
        }
        let status = if disabled {
            "disabled"
        } else if failed > 0 {
            "pending"
        } else {
            "enabled"
        };
        Standing { status: status.to_owned(), failed_attempts: failed, delivered: 0, pending: 0 }
    }

    fn with_outcome(&self, subscription: &Subscription, outcome: &str) -> BTreeSet<i64> {
        let of = |line: &Told| line.subscription == subscription.name && line.outcome == outcome;
        self.story.told.iter().filter(|(_, lines)| lines.iter().any(of)).map(|(id, _)| *id).collect()
    }

    /// Attempts and enablings of a subscription in the order of its clock. None is an enabling.
    fn steps(&self, subscription: &Subscription) -> Vec<(i64, Option<(i64, bool)>)> {
        let lines = self.story.told.iter().flat_map(|(id, lines)| lines.iter().map(move |line| (*id, line)));
        let lines = lines.filter(|(_, line)| line.subscription == subscription.name);
        let attempts =
            lines.flat_map(|(id, line)| line.attempts.iter().map(move |it| (it.at, Some((id, it.ok)))));
        let enabled = self
            .story
            .enabled
            .iter()
            .filter(|(name, _)| *name == subscription.name)
            .map(|(_, at)| (*at, None));
        let mut steps: Vec<_> = attempts.chain(enabled).collect();
        steps.sort_by_key(|(at, _)| *at);
        steps
    }
}

impl Told {
    /// It was to be delivered, whatever a plugin said later.
    fn was_queued(&self) -> bool {
        !matches!(
            self.outcome.as_str(),
            "skipped_disabled" | "skipped_not_validated" | "skipped_rights" | "skipped_filter"
        )
    }
}
