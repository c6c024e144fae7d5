//! `[listen]` and `[store]`: addresses, paths, and what "auto" means.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::Pen;
use crate::config::file::{self, At, Key};
use crate::config::problem::{Flaw, Problem};
use crate::config::units::{Durations, Sizes};
use crate::config::{Listen, StoreConfig};

/// Beside Track's own host nothing speaks for a port; this one is unassigned.
const TCP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7717);

const MAX_BODY: Sizes = Sizes { allowed: 1 << 10..=64 << 20, said: "from 1KiB to 64MiB" };

/// `humantime` counts a year as 365.25 days.
const TEN_YEARS: Duration = Duration::from_secs(315_576_000);

const KEEP: Durations = Durations { allowed: Duration::from_secs(60)..=TEN_YEARS, said: "from 1m to 10y" };

/// What `sun_path` holds on Linux, its closing NUL taken off.
const LONGEST_SOCKET_PATH: usize = 107;

pub(super) fn listen(pen: &mut Pen<'_>, written: &file::Listen) -> Listen {
    pen.within(["listen"], |pen| Listen {
        tcp: tcp(pen, &written.tcp).unwrap_or(TCP),
        unix: unix(pen, &written.unix),
        hosts: hosts(pen, &written.hosts),
        max_body: pen.size("max_body", &written.max_body, &MAX_BODY).unwrap_or(1 << 20),
    })
}

pub(super) fn store(pen: &mut Pen<'_>, written: &file::Store) -> StoreConfig {
    pen.within(["store"], |pen| StoreConfig {
        path: store_path(pen, &written.path),
        keep: pen.duration("keep", &written.keep, &KEEP).unwrap_or(Duration::from_secs(7 * 24 * 60 * 60)),
    })
}

fn tcp(pen: &mut Pen<'_>, written: &Key<String>) -> Option<SocketAddr> {
    let at = written.get()?;
    let flaw = match at.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return Some(address),
        Ok(address) => Flaw::new(at.span.clone(), format!("{} must be a loopback address", pen.key("tcp"))).hint(
            format!(
                "this version has no TLS, so it serves this machine only; use \"127.0.0.1:{0}\" or \"[::1]:{0}\"",
                address.port()
            ),
        ),
        Err(_) => Flaw::new(at.span.clone(), format!("{} is not an address and a port", pen.key("tcp")))
            .hint("write \"127.0.0.1:7717\" or \"[::1]:7717\"; with port 0 the system picks one"),
    };
    pen.flaw(flaw);
    None
}

fn unix(pen: &mut Pen<'_>, written: &Key<String>) -> Option<PathBuf> {
    let text = written.get().map_or("auto", |at| at.value.as_str());
    let path = match text {
        "off" => return None,
        "auto" => match pen.folder_variable("XDG_RUNTIME_DIR") {
            Some(folder) => folder.join("trackrelay/trackrelay.sock"),
            None => PathBuf::from(format!("/tmp/trackrelay-{}/trackrelay.sock", pen.world.user_id)),
        },
        path => pen.path(path),
    };
    let length = path.as_os_str().as_bytes().len();
    if text.is_empty() {
        pen.flaw_of(written, "`listen.unix` is empty", "write a path, \"auto\" or \"off\"");
    } else if length > LONGEST_SOCKET_PATH {
        let message = format!(
            "the unix socket's path `{}` has {length} bytes, more than the {LONGEST_SOCKET_PATH} the system takes",
            path.display()
        );
        pen.flaw_of(written, &message, "set a shorter path as `unix` in `[listen]`, or \"off\"");
    }
    Some(path)
}

fn hosts(pen: &mut Pen<'_>, written: &Key<Vec<At<String>>>) -> Vec<String> {
    let mut hosts = Vec::new();
    for host in written.get().into_iter().flat_map(|list| &list.value) {
        match url::Host::parse(&host.value) {
            Ok(parsed) => hosts.push(parsed.to_string()),
            Err(_) => {
                let message = format!("`{}` is not a host name", host.value);
                let hint = "write the name alone, without scheme, port or `*`";
                pen.flaw(Flaw::new(host.span.clone(), message).hint(hint));
            }
        }
    }
    hosts
}

fn store_path(pen: &mut Pen<'_>, written: &Key<String>) -> PathBuf {
    match written.get().map_or("auto", |at| at.value.as_str()) {
        "auto" => {
            let state = pen.folder_variable("XDG_STATE_HOME");
            let state = state.or_else(|| Some(pen.folder_variable("HOME")?.join(".local/state")));
            state
                .unwrap_or_else(|| {
                    let message = "`store.path` is \"auto\", but neither XDG_STATE_HOME nor HOME is set";
                    pen.flaw_of(written, message, "set a folder as `path` in `[store]`");
                    PathBuf::new()
                })
                .join("trackrelay")
        }
        "" => {
            pen.flaw_of(written, "`store.path` is empty", "write a folder or \"auto\"");
            PathBuf::new()
        }
        path => pen.path(path),
    }
}

impl Pen<'_> {
    /// Points at the key's value. A default that does not work stands in no line.
    fn flaw_of(&mut self, written: &Key<String>, message: &str, hint: &str) {
        match written.get() {
            Some(at) => self.flaw(Flaw::new(at.span.clone(), message).hint(hint)),
            None => {
                let problem = Problem::of_file(self.written.text.file(), message.to_owned());
                self.notes.problems.push(Problem { hint: Some(hint.to_owned()), ..problem });
            }
        }
    }

    /// A folder that the environment names. The XDG rules say to ignore relative ones.
    fn folder_variable(&self, name: &str) -> Option<PathBuf> {
        let folder = PathBuf::from(self.world.variables.get(name)?);
        folder.is_absolute().then_some(folder)
    }
}
