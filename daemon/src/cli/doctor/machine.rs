//! What the machine gives: notices of saves, room on the disk, file descriptors, the time.

use std::path::Path;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{StatFs, inotify, statfs, statvfs};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::checks::{Finding, Ground};
use crate::clock;

/// Kinds of file systems, by the numbers that Linux gives them, on which a save made
/// elsewhere is not noticed here.
const NETWORKED: [(u32, &str); 9] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p, as WSL has for the drives of Windows"),
    (0x786f_4256, "a shared folder of VirtualBox"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6573_5546, "FUSE, as shared folders of Docker Desktop and sshfs are"),
];

/// Room that a busy day fills, and room that is as good as none.
const LITTLE: u64 = 1 << 30;
const NONE: u64 = 64 << 20;

/// The connections of one daemon and as many deliveries under way.
const DESCRIPTORS: u64 = 2048;

/// Clocks of two machines that share files differ by minutes, not by hours.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// When this was written: it cannot be earlier.
const WRITTEN: &str = "2025-09-01T00:00:00Z";

/// Whether saves are noticed.
pub(super) fn saves(ground: &Ground<'_>) -> Vec<Finding> {
    let Some(folder) = ground.path.parent().filter(|folder| folder.is_dir()) else { return Vec::new() };
    let mut found: Vec<Finding> =
        network_of(folder).map(|kind| far_config(folder, kind)).into_iter().collect();
    if let Err(limit) = try_watching(folder) {
        found.push(unwatched(limit));
    }
    if found.is_empty() {
        Finding::ok("saves", format!("are noticed in `{}`", folder.display()))
    } else {
        found
    }
}

/// What a daemon does to notice saves.
fn try_watching(folder: &Path) -> Result<(), Errno> {
    let watcher = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watcher, folder, inotify::WatchFlags::CREATE).map(drop)
}

fn unwatched(error: Errno) -> Finding {
    let (limit, more) = match error {
        Errno::NOSPC => ("max_user_watches", "524288"),
        Errno::MFILE => ("max_user_instances", "1024"),
        other => {
            let text = format!("saves are not noticed: {other}");
            return Finding::problem("saves", text, "after a change run `trackrelay reload`".to_owned());
        }
    };
    let text =
        format!("saves are not noticed: this user's watches of files are used up (`fs.inotify.{limit}`)");
    let help = format!("run `sudo sysctl fs.inotify.{limit}={more}`, or after a change `trackrelay reload`");
    Finding::problem("saves", text, help)
}

fn network_of(path: &Path) -> Option<&'static str> {
    let stat: StatFs = statfs(path).ok()?;
    // Signed on some machines, and then the high bits are only the sign.
    networked(stat.f_type as u32)
}

fn networked(kind: u32) -> Option<&'static str> {
    NETWORKED.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

fn far_config(folder: &Path, kind: &str) -> Finding {
    let text = format!("`{}` is {kind}: a save from another machine is not noticed", folder.display());
    Finding::warning(
        "saves",
        text,
        "after one run `trackrelay reload`, or keep the config on a disk of this machine".to_owned(),
    )
}

/// Room for the store, on a disk that keeps its promises.
pub(super) fn disk(ground: &Ground<'_>) -> Vec<Finding> {
    let mut folders = ground.store.iter().flat_map(|store| store.ancestors());
    let Some(folder) = folders.find(|folder| folder.is_dir()) else { return Vec::new() };
    let mut found: Vec<Finding> =
        network_of(folder).map(|kind| far_store(folder, kind)).into_iter().collect();
    if let Ok(stat) = statvfs(folder) {
        found.extend(room(folder, stat.f_bavail.saturating_mul(stat.f_frsize)));
    }
    found
}

fn far_store(folder: &Path, kind: &str) -> Finding {
    let text =
        format!("`{}` is {kind}: neither locks nor writes of the store are safe there", folder.display());
    let help = "set `[store] path` to a folder on a disk of this machine".to_owned();
    Finding::problem("disk", text, help)
}

fn room(folder: &Path, free: u64) -> Vec<Finding> {
    let text = format!("{} MiB are free for the store in `{}`", free >> 20, folder.display());
    let help = "free some, set `[store] path` to another disk, or keep less with `[store] keep`".to_owned();
    match free {
        ..NONE => vec![Finding::problem("disk", text, help)],
        NONE..LITTLE => vec![Finding::warning("disk", text, help)],
        _ => Finding::ok("disk", text),
    }
}

/// What a daemon may hold open: it raises its own limit as far as it may be raised.
pub(super) fn descriptors(_: &Ground<'_>) -> Vec<Finding> {
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < DESCRIPTORS => {
            let text =
                format!("a daemon may hold {most} files and connections open, and {DESCRIPTORS} are wanted");
            let help = "raise `ulimit -Hn` where it is started, or `LimitNOFILE=` of its service".to_owned();
            vec![Finding::warning("descriptors", text, help)]
        }
        _ => Vec::new(),
    }
}

/// Whether the wall clock can be right: files of the past were not made in the future.
pub(super) fn clock(ground: &Ground<'_>) -> Vec<Finding> {
    let touched = std::iter::once(&ground.path).chain(&ground.store);
    let newest = touched.filter_map(|path| path.metadata().ok()?.modified().ok()).max().and_then(stamp);
    vec![told(clock::now(), newest)]
}

fn stamp(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}

fn told(now: Timestamp, newest: Option<Timestamp>) -> Finding {
    let written: Timestamp = WRITTEN.parse().expect("our own date");
    let newest = newest.unwrap_or(written);
    let help =
        "set it, best by `timedatectl set-ntp true`: certificates, signatures of Standard Webhooks and \
                `keep` go by it"
            .to_owned();
    match () {
        () if now < written => Finding::problem("clock", format!("it shows {now:.0}, which is past"), help),
        () if newest.duration_since(now) > SKEW => {
            let text = format!("it shows {now:.0}, but files were written at {newest:.0}");
            Finding::problem("clock", text, help)
        }
        () => Finding::ok("clock", format!("it shows {now:.0}")).remove(0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::State;
    use super::*;

    #[test]
    fn a_limit_is_named_with_the_command_that_raises_it() {
        for (error, wanted) in [
            (Errno::NOSPC, "sudo sysctl fs.inotify.max_user_watches="),
            (Errno::MFILE, "sudo sysctl fs.inotify.max_user_instances="),
            (Errno::ACCESS, "trackrelay reload"),
        ] {
            let found = unwatched(error);
            assert!(found.help.as_ref().is_some_and(|help| help.contains(wanted)), "{found:?}");
        }
    }

    /// The numbers are those of Linux, in `statfs(2)`.
    #[test]
    fn a_disk_of_another_machine_is_known_by_its_number() {
        let (nfs, smb2, fuse) = (0x6969, 0xfe53_4d42, 0x6573_5546);
        for (kind, name) in [(nfs, "NFS"), (smb2, "SMB"), (0x0102_1997, "9p"), (fuse, "FUSE")] {
            let name_of_it = networked(kind).expect(name);
            assert!(name_of_it.starts_with(name), "{name_of_it}");
            let (config, store) =
                (far_config(Path::new("/s"), name_of_it), far_store(Path::new("/s"), name_of_it));
            assert_eq!((config.state, store.state), (State::Warning, State::Problem));
            assert!(
                store.text.starts_with(&format!("`/s` is {name_of_it}: neither locks nor ")),
                "{store:?}"
            );
            assert!(store.help.is_some_and(|help| help.starts_with("set `[store] path` to a folder ")));
        }
        let (ext4, xfs, btrfs, tmpfs, overlay) = (0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630);
        for kind in [ext4, xfs, btrfs, tmpfs, overlay] {
            assert_eq!(networked(kind), None, "{kind:#x}");
        }
    }

    #[test]
    fn room_is_judged_by_what_a_day_takes() {
        let state = |free| room(Path::new("/s"), free)[0].state;
        assert_eq!(
            [state(1 << 20), state(100 << 20), state(100 << 30)],
            [State::Problem, State::Warning, State::Ok]
        );
    }

    #[test]
    fn a_clock_behind_its_files_is_wrong() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (now, newest, wanted) in [
            ("1970-01-01T00:10:00Z", None, "which is past"),
            ("2026-05-01T00:00:00Z", Some("2026-05-01T03:00:00Z"), "but files were written at 2026-05-01T03"),
            ("2026-05-01T00:00:00Z", Some("2026-05-01T00:30:00Z"), "it shows 2026-05-01T00:00:00Z"),
        ] {
            let found = told(at(now), newest.map(at));
            assert!(found.text.contains(wanted), "{found:?}");
        }
    }
}
