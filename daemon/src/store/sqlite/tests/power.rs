//! Loss of power: at every single write and sync of a life, and at some of many lives.
//! Whatever was acknowledged is there, nothing is there in half, and life goes on.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::{Luck, Mounted, Platter, Record};
use super::life::{Life, Step, random_life, whole_life};
use super::view::{View, survives};

/// `DISK_LIVES` asks for more.
const LIVES: u64 = 12;
const LOSSES_OF_A_LIFE: u32 = 6;

fn lives() -> u64 {
    std::env::var("DISK_LIVES").map_or(LIVES, |lives| lives.parse().expect("`DISK_LIVES` is a number"))
}

/// What a life left: all that happened to its disk, and what may be found after it.
struct Recorded {
    log: Vec<Record>,
    views: Vec<View>,
    certain: Vec<usize>,
}

async fn record(steps: &[Step]) -> Recorded {
    let mut life = Life::begin(Mounted::new(Platter::default())).await;
    assert!(life.live(steps).await.is_ok());
    life.close().await;
    assert!(life.errors.is_empty(), "{:?}", life.errors);
    let (views, certain) = (std::mem::take(&mut life.views), std::mem::take(&mut life.certain));
    Recorded { log: life.mounted.take_log(), views, certain }
}

impl Recorded {
    /// What may be found once so many views were noted: the last that was promised to
    /// last, up to the one that was just being written.
    fn allowed(&self, noted: usize) -> &[View] {
        let from = noted.checked_sub(1).map_or(0, |last| self.certain[last]);
        &self.views[from..(noted + 1).min(self.views.len())]
    }

    /// All that was written up to a position, the last write only in part.
    fn cut(&self, position: usize, random: &mut StdRng) -> Platter {
        let mut platter = Platter::default();
        let (before, after) = self.log.split_at(position);
        before.iter().for_each(|event| platter.apply(event));
        if let Some(Record::Write { inode, at, bytes }) = after.first() {
            let bytes = bytes[..random.random_range(0..=bytes.len())].into();
            platter.apply(&Record::Write { inode: *inode, at: *at, bytes });
        }
        platter.after_power_loss(&mut Luck::Everything)
    }

    /// Goes through the life, and says what is left at each position that `visit` wants.
    async fn at_each_position(&self, who: &str, mut luck: impl FnMut(usize, &Record) -> Vec<Luck>) -> usize {
        let mut platter = Platter::default();
        let (mut noted, mut losses) = (0, 0);
        for (position, event) in self.log.iter().enumerate() {
            platter.apply(event);
            if let Record::Answered(count) = event {
                noted = *count;
            }
            let allowed = self.allowed(noted);
            let newest = allowed[0].newest_made_here();
            for mut luck in luck(position, event) {
                let left = platter.after_power_loss(&mut luck);
                losses += 1;
                if let Err(why) = survives(&left, allowed, newest).await {
                    panic!(
                        "{who}: the power went at {position} of {}, after {event:?}: {why}",
                        self.log.len()
                    );
                }
            }
        }
        losses
    }
}

/// Short, so that every position can be tried in each of the ways a disk can lose.
#[tokio::test]
async fn the_power_may_go_at_every_write_and_sync_of_a_life() {
    let life = record(&whole_life()).await;
    let losses = life.at_each_position("the whole life", |position, event| match event {
        // Nothing else changes what is certain, or what must be.
        Record::Sync { .. } | Record::Answered(_) => vec![Luck::Nothing],
        _ => vec![Luck::Everything, Luck::some(position as u64)],
    });
    eprintln!("{} positions, {} losses of power", life.log.len(), losses.await);
}

#[tokio::test]
async fn the_power_may_go_in_any_life() {
    let mut losses = 0;
    for seed in 0..lives() {
        let life = record(&random_life(seed, 12)).await;
        let mut random = StdRng::seed_from_u64(seed);
        losses += life
            .at_each_position(&format!("life {seed}"), |_, event| match event {
                Record::Answered(_) => vec![],
                _ if random.random_ratio(LOSSES_OF_A_LIFE, life.log.len() as u32) => {
                    vec![Luck::some(random.random())]
                }
                _ => vec![],
            })
            .await;
    }
    eprintln!("{} lives, {losses} losses of power", lives());
}

/// A drive that says it has synced and has not, but still writes in order: what was
/// acknowledged may be gone, yet only the last of it.
#[tokio::test]
async fn a_sync_that_lies_loses_only_the_end() {
    let mut losses = 0;
    for seed in 0..lives() {
        let life = record(&random_life(seed, 12)).await;
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..LOSSES_OF_A_LIFE {
            let left = life.cut(random.random_range(0..=life.log.len()), &mut random);
            if let Err(why) = survives(&left, &life.views, None).await {
                panic!("life {seed}: {why}");
            }
            losses += 1;
        }
    }
    eprintln!("{} lives, {losses} losses of power", lives());
}
