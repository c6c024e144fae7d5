//! What tests do to a daemon from outside: places on its way that have a name, and at one of
//! which it can be told to die. That it loses nothing there is for `tests/crash_matrix.rs`.
//!
//! A release knows nothing of this: `pass` is empty in it, and no variable is looked at.

#[cfg(debug_assertions)]
pub use armed::{arm, hurried, pass};
#[cfg(not(debug_assertions))]
pub use unarmed::{arm, hurried, pass};

macro_rules! points {
    ($($(#[$words:meta])* $point:ident = $name:literal,)*) => {
        /// Where a daemon can die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$words])* $point,)* }

        impl Point {
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            pub fn name(self) -> &'static str {
                match self { $(Point::$point => $name,)* }
            }
        }
    };
}

points! {
    /// The store is open, and what was young when the last process ended has its rows.
    StartOpened = "start.opened",
    /// Among these rows, before they are committed.
    StartYoungWritten = "start.young_written",
    /// The first plan is made and kept.
    StartPlanned = "start.planned",
    /// The sockets are bound, nobody serves them yet.
    StartBound = "start.bound",

    /// A body has become events.
    AcceptRead = "accept.read",
    /// They are durable, and the sender does not know.
    AcceptAcknowledged = "accept.acknowledged",

    /// In a transaction, before the rows of a request's events.
    AppendBegun = "append.begun",
    /// After these rows, before they are committed.
    AppendWritten = "append.written",
    /// They are durable; memory and sender do not know.
    AppendSynced = "append.synced",

    /// A delivery has been handed out.
    ClaimTaken = "claim.taken",
    /// A filter is about to see it.
    PluginCalled = "plugin.called",
    /// It has judged.
    PluginAnswered = "plugin.answered",
    /// The request is about to go out.
    SendBegun = "send.begun",
    /// The answer is there, and nothing has come of it.
    SendAnswered = "send.answered",

    /// In memory it is settled what becomes of the delivery.
    SettleDecided = "settle.decided",
    /// Its rows are written, not committed.
    SettleWritten = "settle.written",
    /// They are durable.
    SettleSynced = "settle.synced",

    /// Before the first row of a step goes.
    PruneBegun = "prune.begun",
    /// The rows of a step are gone, not committed.
    PruneWritten = "prune.written",
    /// The step is durable.
    PruneSynced = "prune.synced",

    /// The new config has been read and is valid.
    ReloadChecked = "reload.checked",
    /// Its plugins are ready.
    ReloadBuilt = "reload.built",
    /// The store knows what the new tables mean for how subscriptions stand.
    ReloadTakenOver = "reload.taken_over",
    /// It knows the new plan; the old one is in force.
    ReloadKept = "reload.kept",
    /// The new plan is in force.
    ReloadSwapped = "reload.swapped",
}

/// An order that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadOrder(String);

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

    use super::{BadOrder, Point};

    /// `append.synced:3:kill`: die by `kill -9` at the third passing of that point; `abort` is
    /// the other way.
    const VARIABLE: &str = "TRACKRELAY_DIE";

    /// How often a daemon prunes that is to die of it.
    const HURRY: Duration = Duration::from_millis(100);

    /// One per process, as a process dies once: handing it through every room that has a
    /// point would leave its marks in all of them, and in a release too.
    static ORDER: OnceLock<Order> = OnceLock::new();

    #[derive(Debug)]
    struct Order {
        point: Point,
        at: u32,
        way: Way,
        passed: AtomicU32,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Way {
        Kill,
        Abort,
    }

    /// Takes the order from the environment, if there is one.
    pub fn arm(env: &dyn Fn(&str) -> Option<String>) -> Result<(), BadOrder> {
        let Some(text) = env(VARIABLE) else { return Ok(()) };
        let order = Order::read(&text).map_err(BadOrder)?;
        tracing::warn!("`{VARIABLE}` is set: this daemon dies at {text}");
        // Set already only where a test arms twice.
        drop(ORDER.set(order));
        Ok(())
    }

    /// Dies here, if that is the order.
    pub fn pass(point: Point) {
        if let Some(order) = ORDER.get().filter(|order| order.point == point)
            && order.passed.fetch_add(1, Ordering::Relaxed) + 1 == order.at
        {
            order.way.die();
        }
    }

    /// How long to wait for something that comes by itself: less, if it is to be died of.
    pub fn hurried(wait: Duration) -> Duration {
        let pruning = [Point::PruneBegun, Point::PruneWritten, Point::PruneSynced];
        let hurries = ORDER.get().is_some_and(|order| pruning.contains(&order.point));
        if hurries { wait.min(HURRY) } else { wait }
    }

    impl Order {
        fn read(text: &str) -> Result<Order, String> {
            let parts: Vec<&str> = text.split(':').collect();
            let &[name, at, way] = parts.as_slice() else {
                return Err(format!(
                    "`{VARIABLE}` says `{text}`; it takes `POINT:TIMES:kill` or `POINT:TIMES:abort`"
                ));
            };
            let point = Point::ALL.iter().copied().find(|point| point.name() == name).ok_or_else(|| {
                let names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
                format!("`{VARIABLE}` names no point: `{name}`; there are {}", names.join(", "))
            })?;
            let at = at.parse().ok().filter(|at| *at > 0).ok_or_else(|| {
                format!("`{VARIABLE}` says at which passing, a number from 1 on, not `{at}`")
            })?;
            let way = match way {
                "kill" => Way::Kill,
                "abort" => Way::Abort,
                _ => return Err(format!("`{VARIABLE}` says `kill` or `abort`, not `{way}`")),
            };
            Ok(Order { point, at, way, passed: AtomicU32::new(0) })
        }
    }

    impl Way {
        fn die(self) -> ! {
            if self == Way::Kill {
                // Comes back only if it failed.
                kill_process(getpid(), Signal::KILL).ok();
            }
            // What lay in memory, secrets too, is not left on a disk.
            setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
            std::process::abort()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_is_a_point_a_number_and_a_way() {
            let order = Order::read("append.synced:3:kill").unwrap();
            assert_eq!((order.point, order.at, order.way), (Point::AppendSynced, 3, Way::Kill));
            assert_eq!(Order::read("prune.begun:1:abort").unwrap().way, Way::Abort);
        }

        #[test]
        fn what_cannot_be_followed_is_said() {
            let table = [
                ("append.sync:1:kill", "names no point: `append.sync`; there are start.opened"),
                ("append.synced", "takes `POINT:TIMES:kill`"),
                ("append.synced:0:kill", "from 1 on, not `0`"),
                ("append.synced:-1:kill", "from 1 on, not `-1`"),
                ("append.synced:1:die", "`kill` or `abort`, not `die`"),
                ("append.synced:1:kill:2", "takes `POINT:TIMES:kill`"),
                ("", "takes `POINT:TIMES:kill`"),
            ];
            for (text, said) in table {
                let error = arm(&|_| Some(text.to_owned())).unwrap_err().to_string();
                assert!(error.contains(said), "{text}: {error}");
            }
        }

        #[test]
        fn no_two_points_share_a_name() {
            let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), Point::ALL.len());
        }
    }
}

#[cfg(not(debug_assertions))]
mod unarmed {
    use std::time::Duration;

    use super::{BadOrder, Point};

    #[inline(always)]
    pub fn arm(_env: &dyn Fn(&str) -> Option<String>) -> Result<(), BadOrder> {
        Ok(())
    }

    #[inline(always)]
    pub fn pass(_point: Point) {}

    #[inline(always)]
    pub fn hurried(wait: Duration) -> Duration {
        wait
    }
}
