//! The requests that the writer writes: small ones here, appending and what goes through
//! many events in files of their own.

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::queue::{State, Work};
use super::record;
use super::tx::Tx;
use crate::delivery::{DeliveryId, Standing, SubscriptionId};
use crate::drill::{self, Point};
use crate::store::lanes::Entry;
use crate::store::{Arrival, Error, Receipt, Result, Routed, Seq};

mod sweep;

pub(super) use sweep::{Cancel, Prune, Swept};

/// Where an answer goes. Nobody may wait for it any more, which is no harm.
pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

pub(super) struct Append {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) admitted: Vec<(SubscriptionId, Entry)>,
    pub(super) answer: Answer<Vec<Receipt>>,
}

impl Work for Append {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        drill::pass(Point::AppendBegun);
        for arrival in &self.arrivals {
            let receipt = tx.append(arrival, &mut self.admitted)?;
            self.receipts.push(receipt);
        }
        drill::pass(Point::AppendWritten);
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        drill::pass(Point::AppendSynced);
        for (subscription, entry) in self.admitted.drain(..) {
            state.board.admit(subscription, entry);
        }
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let Append { answer, receipts, .. } = *self;
        drop(answer.send(result.map(|()| receipts)));
    }
}

pub(super) struct Replay {
    pub(super) orders: Vec<(Seq, Routed)>,
    pub(super) at: i64,
    pub(super) made: Vec<DeliveryId>,
    pub(super) admitted: Vec<(SubscriptionId, Entry)>,
    pub(super) answer: Answer<Vec<DeliveryId>>,
}

impl Work for Replay {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        for (seq, route) in &self.orders {
            if let Some((delivery, entry)) = tx.replay(*seq, route, self.at)? {
                self.made.push(delivery);
                self.admitted.extend(entry.map(|entry| (route.subscription, entry)));
            }
        }
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        for (subscription, entry) in self.admitted.drain(..) {
            state.board.admit(subscription, entry);
        }
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let Replay { answer, made, .. } = *self;
        drop(answer.send(result.map(|()| made)));
    }
}

/// Writes all that is there to write, and nothing of its own.
pub(super) struct Flush(pub(super) Answer<()>);

impl Work for Flush {
    fn write(&mut self, _tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        drop(self.0.send(result));
    }
}

pub(super) struct KeepPlan {
    pub(super) plan: i64,
    pub(super) summary: String,
    pub(super) answer: Answer<()>,
}

impl Work for KeepPlan {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let mut insert =
            tx.connection.prepare_cached("INSERT OR REPLACE INTO plans (plan, summary) VALUES (?1, ?2)")?;
        insert.execute(rusqlite::params![self.plan, self.summary])?;
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        state.last_plan = state.last_plan.max(self.plan);
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        drop(self.answer.send(result));
    }
}

pub(super) struct Enroll {
    pub(super) names: Vec<String>,
    pub(super) now: Timestamp,
    pub(super) made: Vec<(SubscriptionId, String, Standing)>,
    pub(super) answer: Answer<()>,
}

impl Work for Enroll {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let mut known = tx.connection.prepare_cached("SELECT 1 FROM subscriptions WHERE name = ?1")?;
        let mut insert = tx.connection.prepare_cached(
            "INSERT INTO subscriptions (id, name, waiting, standing) \
             SELECT coalesce(max(id), 0) + 1, ?1, 0, ?2 FROM subscriptions RETURNING id",
        )?;
        for name in &self.names {
            if !known.exists([name])? {
                let standing = Standing { created_at: Some(self.now), ..Standing::default() };
                let id = insert.query_row([name, &record::to_json(&standing)], |row| row.get(0))?;
                self.made.push((SubscriptionId(id), name.clone(), standing));
            }
        }
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        for (id, name, standing) in self.made.drain(..) {
            state.board.enroll(id, &name, standing, 0);
        }
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        drop(self.answer.send(result));
    }
}

pub(super) struct Rename {
    pub(super) subscription: SubscriptionId,
    pub(super) name: String,
    pub(super) refused: Option<Error>,
    pub(super) answer: Answer<()>,
}

impl Work for Rename {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let id = self.subscription;
        let mut taken =
            tx.connection.prepare_cached("SELECT 1 FROM subscriptions WHERE name = ?1 AND id <> ?2")?;
        if taken.exists(rusqlite::params![self.name, id.0])? {
            self.refused = Some(Error::NameTaken(self.name.clone()));
            return Ok(());
        }
        let mut update = tx
            .connection
            .prepare_cached("UPDATE subscriptions SET name = ?1 WHERE id = ?2 AND name IS NOT NULL")?;
        if update.execute(rusqlite::params![self.name, id.0])? == 0 {
            self.refused = Some(Error::UnknownSubscription(id));
        }
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        if self.refused.is_none() {
            self.refused = state.board.rename(self.subscription, &self.name).err();
        }
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let refused = self.refused;
        drop(self.answer.send(result.and_then(|()| refused.map_or(Ok(()), Err))));
    }
}

/// Ends a subscription. What waits of it is cancelled afterwards, in steps.
pub(super) struct Remove {
    pub(super) subscription: SubscriptionId,
    pub(super) at: i64,
    pub(super) refused: Option<Error>,
    pub(super) answer: Answer<()>,
}

impl Work for Remove {
    fn write(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        // The standing may hold a secret.
        let mut update = tx.connection.prepare_cached(
            "UPDATE subscriptions SET name = NULL, standing = '{}', removed_at = ?2 \
             WHERE id = ?1 AND name IS NOT NULL",
        )?;
        if update.execute([self.subscription.0, self.at])? == 0 {
            self.refused = Some(Error::UnknownSubscription(self.subscription));
        }
        Ok(())
    }

    fn apply(&mut self, state: &mut State) {
        if self.refused.is_none() {
            self.refused = state.board.remove(self.subscription).err();
        }
    }

    fn answer(self: Box<Self>, result: Result<()>) {
        let refused = self.refused;
        drop(self.answer.send(result.and_then(|()| refused.map_or(Ok(()), Err))));
    }
}
