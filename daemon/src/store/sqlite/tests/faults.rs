//! A disk that refuses: full, short, broken, once or until somebody mends it, at every
//! operation of a life. What was answered with an error was not kept, what was answered
//! otherwise was, and all goes on once the disk does.

use super::disk::{Fault, Luck, Mounted, On, Platter, Trouble};
use super::life::{Life, whole_life};
use super::view::survives;

/// Goes through a life with this trouble. Says whether it came to pass.
async fn lives_through(fault: Fault) -> bool {
    let mounted = Mounted::new(Platter::default());
    mounted.set_fault(fault);
    let mut life = Life::begin(mounted).await;
    let together = life.live(&whole_life()).await.is_ok();
    life.mounted.heal();
    let troubled = life.mounted.was_troubled();
    if !together {
        return troubled;
    }
    life.close().await;
    let allowed = &life.views[*life.certain.last().unwrap()..];
    let left = life.mounted.platter().after_power_loss(&mut Luck::Nothing);
    let newest = allowed[0].newest_made_here();
    if let Err(why) = survives(&left, allowed, newest).await {
        panic!("{fault:?}: {why}");
    }
    troubled
}

/// Tries it at every so many operations of this kind until none is left; with
/// `DISK_THOROUGH` set, at every single one.
async fn at_every(on: On, trouble: Trouble, times: u64, stride: u64) {
    let stride = if std::env::var_os("DISK_THOROUGH").is_some() { 1 } else { stride };
    let mut tried = 0;
    while lives_through(Fault { on, after: tried * stride, times, trouble }).await {
        tried += 1;
    }
    eprintln!("{on:?} {trouble:?}: {tried} lives");
    assert!(tried > 5, "{tried}");
}

#[tokio::test]
async fn a_disk_may_be_full_at_every_write() {
    at_every(On::Write, Trouble::Full, u64::MAX, 11).await;
}

#[tokio::test]
async fn a_write_may_be_cut_short() {
    at_every(On::Write, Trouble::Short, 1, 13).await;
}

#[tokio::test]
async fn a_write_may_fail() {
    at_every(On::Write, Trouble::Broken, 1, 13).await;
    at_every(On::Write, Trouble::Broken, u64::MAX, 19).await;
}

#[tokio::test]
async fn a_sync_may_fail() {
    at_every(On::Sync, Trouble::Broken, 1, 2).await;
    at_every(On::Sync, Trouble::Broken, u64::MAX, 5).await;
}

#[tokio::test]
async fn a_read_may_fail() {
    at_every(On::Read, Trouble::Broken, 1, 13).await;
    at_every(On::Read, Trouble::Broken, u64::MAX, 19).await;
}
