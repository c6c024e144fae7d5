//! What `top` knows: the daemon's last status, and what the stream told since. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::rate::{Latencies, Rate};
use crate::cli::live::Heard;
use crate::cli::reply::{StatusReply, Subscription};
use crate::delivery::Outcome;
use crate::feed::News;

/// Rows that PageUp and PageDown go.
const PAGE: usize = 10;

/// What subscriptions are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    #[default]
    Name,
    Status,
    Rate,
    Waiting,
    Latency,
}

/// What an input means for the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    /// The next frame shows it.
    On,
    /// It is shown at once.
    Anew,
    /// The end.
    Away,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) status: Option<StatusReply>,
    /// The daemon went away and is not back yet.
    pub(super) gone: bool,
    /// Things that we were too slow for.
    pub(super) missed: u64,
    pub(super) events: Rate,
    pub(super) attempts: Rate,
    pub(super) failures: Rate,
    activities: HashMap<String, Activity>,
    sort: Sort,
    turned: bool,
    /// The first row shown.
    pub(super) first: usize,
}

/// What the stream told of one subscription.
#[derive(Debug, Default)]
pub(super) struct Activity {
    pub(super) attempts: Rate,
    pub(super) latencies: Latencies,
}

impl Model {
    pub(super) fn new(sort: Sort) -> Model {
        Model {
            status: None,
            gone: false,
            missed: 0,
            events: Rate::default(),
            attempts: Rate::default(),
            failures: Rate::default(),
            activities: HashMap::new(),
            sort,
            turned: false,
            first: 0,
        }
    }

    pub(super) fn sort(&self) -> (Sort, bool) {
        (self.sort, self.turned)
    }

    pub(super) fn know(&mut self, status: StatusReply) {
        // Nothing grows with names that come and go.
        let is_there = |name: &String| status.subscriptions.iter().any(|known| known.name == *name);
        if self.activities.len() > status.subscriptions.len() {
            self.activities.retain(|name, _| is_there(name));
        }
        self.status = Some(status);
    }

    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Hello { .. } => self.gone = false,
            Heard::Gone => self.gone = true,
            Heard::Missed { count, .. } => self.missed += count,
            Heard::News { news, .. } => self.count(news.at, &news.news),
            Heard::Unknown { .. } => {}
        }
    }

    fn count(&mut self, at: Timestamp, news: &News) {
        match news {
            News::Event(_) => self.events.count(at),
            News::Attempt(attempt) => {
                self.attempts.count(at);
                if attempt.outcome != Outcome::Delivered {
                    self.failures.count(at);
                }
                let activity = self.activities.entry(attempt.subscription.clone()).or_default();
                activity.attempts.count(at);
                activity.latencies.add(attempt.ms);
            }
            _ => {}
        }
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Goes {
        if key.kind == KeyEventKind::Release {
            return Goes::On;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Goes::Away,
            KeyCode::Char('q') | KeyCode::Esc => return Goes::Away,
            KeyCode::Char('n') => self.sort_by(Sort::Name),
            KeyCode::Char('s') => self.sort_by(Sort::Status),
            KeyCode::Char('r') => self.sort_by(Sort::Rate),
            KeyCode::Char('w') => self.sort_by(Sort::Waiting),
            KeyCode::Char('l') => self.sort_by(Sort::Latency),
            KeyCode::Up => self.first = self.first.saturating_sub(1),
            KeyCode::Down => self.first += 1,
            KeyCode::PageUp => self.first = self.first.saturating_sub(PAGE),
            KeyCode::PageDown => self.first += PAGE,
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = usize::MAX,
            _ => return Goes::On,
        }
        Goes::Anew
    }

    fn sort_by(&mut self, sort: Sort) {
        self.turned = self.sort == sort && !self.turned;
        self.sort = sort;
        self.first = 0;
    }

    /// Scrolls no further than to the last of so many rows at once.
    pub(super) fn fit(&mut self, rows: usize) {
        let all = self.status.as_ref().map_or(0, |status| status.subscriptions.len());
        self.first = self.first.min(all.saturating_sub(rows));
    }

    pub(super) fn activity(&self, name: &str) -> Option<&Activity> {
        self.activities.get(name)
    }

    /// Subscriptions in the order that is asked for: what needs an eye comes first. Those that
    /// are alike stay in the order of the files.
    pub(super) fn ordered(&self, now: Timestamp) -> Vec<&Subscription> {
        let mut all: Vec<&Subscription> =
            self.status.iter().flat_map(|status| &status.subscriptions).collect();
        match self.sort {
            Sort::Name => all.sort_by(|a, b| a.name.cmp(&b.name)),
            Sort::Status => {
                all.sort_by_key(|it| crate::delivery::Status::ALL.iter().position(|s| *s == it.status))
            }
            Sort::Waiting => all.sort_by_key(|it| Reverse(it.pending)),
            Sort::Rate => all.sort_by(|a, b| self.rate(b, now).total_cmp(&self.rate(a, now))),
            Sort::Latency => all.sort_by_cached_key(|it| {
                Reverse(self.activity(&it.name).and_then(|activity| activity.latencies.percentile(99)))
            }),
        }
        if self.turned {
            all.reverse();
        }
        all
    }

    fn rate(&self, subscription: &Subscription, now: Timestamp) -> f64 {
        self.activity(&subscription.name).map_or(0.0, |activity| activity.attempts.per_second(now))
    }
}
