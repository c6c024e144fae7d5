//! A disk that turns read-only: before the start it is named with a way out, while running
//! new events are refused and what waits goes on, and once it can be written again all is as
//! before, without a restart.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::harness::{Answer, Event, Receiver, Relay, Sender, event, wait_until};

/// Events that wait when the disk turns read-only.
const BEFORE: i64 = 40;

/// How a test turns files read-only, undone when dropped.
///
/// Root does not mind modes, and a file system with files open for writing is not mounted
/// read-only on demand. The immutable flag refuses what is open already, too, as a file
/// system does that the kernel has made read-only after an error.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    fn set(paths: Vec<PathBuf>) -> std::io::Result<Immutable> {
        let set = Immutable(Vec::new());
        paths.into_iter().try_fold(set, |mut set, path| {
            flag(&path, true)?;
            set.0.push(path);
            Ok(set)
        })
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        for path in &self.0 {
            flag(path, false)
                .unwrap_or_else(|error| eprintln!("{} stays immutable: {error}", path.display()));
        }
    }
}

fn flag(path: &Path, immutable: bool) -> std::io::Result<()> {
    let file = File::open(path)?;
    let mut flags = ioctl_getflags(&file)?;
    flags.set(IFlags::IMMUTABLE, immutable);
    Ok(ioctl_setflags(&file, flags)?)
}

/// Whether a file that is open for writing can be made to refuse, here and by us.
fn can_refuse_what_is_open(relay: &Relay) -> bool {
    let path = relay.path("probe");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let Ok(_immutable) = Immutable::set(vec![path]) else { return false };
    file.write_all(b"x").is_err()
}

/// Says that nothing was tested. Where everything must be, that is a failure.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
}

fn large(id: i64) -> Event {
    event("time_entry.created", id).of(id).with("filler", "x".repeat(2000))
}

/// A daemon that has had a store, and is stopped.
fn stopped() -> Relay {
    let mut relay = Relay::start("");
    relay.stop();
    relay
}

#[track_caller]
fn refuses_to_start(relay: &mut Relay, names: &Path) {
    relay.launch();
    assert_eq!(relay.wait_for_end().code(), Some(1), "{}", relay.log());
    let log = relay.log();
    assert!(log.contains(&*names.to_string_lossy()), "{}: {log}", names.display());
    assert!(log.contains("cannot be written") && log.contains("[store] path"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_file_system_mounted_read_only_is_named() {
    let mut relay = stopped();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    let mut private = Command::new("unshare");
    private.args(["--mount", "--propagation", "private", "sh", "-c", mount]).arg(relay.store());
    if !private.status().is_ok_and(|status| status.success()) {
        return skip("a file system of its own cannot be mounted here");
    }
    let mut within = Command::new("unshare");
    within.args(["--mount", "--propagation", "private", "sh", "-c"]);
    within.arg(format!("{mount} && exec \"$@\"")).arg(relay.store());
    relay.launch_within(within);
    assert_eq!(relay.wait_for_end().code(), Some(1), "{}", relay.log());
    let log = relay.log();
    assert!(log.contains(&*relay.store().join("lock").to_string_lossy()), "{log}");
    assert!(log.contains("cannot be written") && log.contains("[store] path"), "{log}");
    relay.start_again();
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let mut relay = stopped();
    for file in ["trackrelay.db", "lock"] {
        let path = relay.store().join(file);
        let locked = if rustix::process::geteuid().is_root() {
            let Ok(locked) = Immutable::set(vec![path.clone()]) else {
                return skip("root, and files cannot be made immutable here");
            };
            Some(locked)
        } else {
            fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
            None
        };
        refuses_to_start(&mut relay, &path);
        drop(locked);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    relay.start_again();
}

#[test]
fn a_disk_that_turns_read_only_refuses_delivers_and_recovers() {
    let receiver = Receiver::start();
    receiver.answer(|_, _| Answer::status(200).after(Duration::from_millis(20)));
    let mut relay = Relay::start(&(receiver.table("all") + "concurrency = 1\n"));
    if !can_refuse_what_is_open(&relay) {
        return skip("nothing here refuses writes to a file that is open");
    }
    relay.send_all(&(1..=BEFORE).map(large).collect::<Vec<_>>());
    let store = relay.store();
    let read_only =
        Immutable::set(vec![store.join("trackrelay.db"), store.join("trackrelay.db-wal"), store]).unwrap();

    let mut sender = Sender::unix(&relay);
    let mut post = |id: i64| sender.post("/events", "application/json", large(id).json().as_bytes());
    let new = BEFORE + 1;
    let reply = post(new);
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()));
    let said = reply.refusal();
    assert!(said.contains("trackrelay.db") && said.contains("read-only"), "{said}");
    assert_eq!(relay.get("/healthz").json()["store"], "failing");
    assert_eq!(relay.status()["store"], "failing");
    assert!(relay.cli(&["status"]).stdout.contains("failing"));

    // What waits is delivered all the same.
    relay.wait_for("all", "has delivered what it had", |it| it["pending"] == 0);
    assert_eq!(receiver.ids_at("all").len() as i64, BEFORE);
    assert_eq!(post(new).status, 503);

    drop(read_only);
    wait_until("the event is taken", || (post(new).status == 202).then_some(()));
    assert_eq!(relay.get("/healthz").json()["store"], "ok");
    assert_eq!(relay.status()["store"], "ok");
    relay.wait_for("all", "has delivered everything", |it| it["delivered"] == new);
    // The outcomes were kept meanwhile, and are written by now.
    relay.restart();
    relay.send(&large(new + 1));
    relay.wait_for("all", "has delivered the last", |it| it["delivered"] == new + 1);
    let arrived = receiver.ids_at("all");
    assert_eq!(arrived.len() as i64, new + 1, "nothing comes twice");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), (1..=new + 1).collect());
    assert_eq!(relay.cli(&["doctor"]).code, 0);
}
