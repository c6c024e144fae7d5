//! Whether the callbacks can be reached, and if not, which of the usual causes it is: nobody
//! listens, on this loopback address or at all; a container or WSL stands between; TLS where
//! there is none, or the other way round; a certificate.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::StreamExt;
use hyper::Uri;

use super::checks::{Finding, Ground};
use crate::cli::output::count;
use crate::deliver::client::reach::{Unreachable, reach, speaks_tls};

/// A name look-up, a connection and a handshake take milliseconds; a busy machine gets more.
const REACH_WITHIN: Duration = Duration::from_secs(3);

/// Looked at side by side, so that all are done in the time of the slowest.
const AT_ONCE: usize = 64;

/// Places that are looked at, and lines about them; a config with more has many alike.
const MOST: usize = 256;

/// Names of subscriptions in one line.
const NAMED: usize = 3;

/// One place to which callbacks point.
struct Place {
    url: Uri,
    host: String,
    subscriptions: Vec<String>,
    /// Something of a subscription here went well already.
    proven: bool,
}

pub(super) fn callbacks(ground: &Ground<'_>) -> Vec<Finding> {
    let all = places(ground);
    if all.is_empty() {
        return Vec::new();
    }
    let beyond = all.len().saturating_sub(MOST);
    let around = Surroundings::of(ground);
    let looked = async {
        let each = futures_util::stream::iter(all.into_iter().take(MOST));
        let each = each.map(|place| look(place, &around)).buffered(AT_ONCE);
        Ok(each.collect::<Vec<Finding>>().await)
    };
    let mut found = crate::cli::wait(looked).unwrap_or_default();
    if beyond > 0 {
        found.extend(Finding::ok(
            "callbacks",
            format!("{} were not looked at", count(beyond as u64, "further place")),
        ));
    }
    found
}

fn places(ground: &Ground<'_>) -> Vec<Place> {
    let mut places: BTreeMap<(String, String), Place> = BTreeMap::new();
    let status = ground.status().and_then(|status| status.as_ref().ok());
    let well = status.iter().flat_map(|status| &status.subscriptions);
    let well = well.filter(|one| one.delivered > 0 && one.last_error.is_none());
    let proven: HashSet<&str> = well.map(|one| one.name.as_str()).collect();
    for subscription in ground.config().iter().flat_map(|config| &config.subscriptions) {
        let Ok(url) = subscription.url_callback.as_str().parse::<Uri>() else { continue };
        let (Some(authority), true) = (url.authority(), subscription.enabled) else { continue };
        let key = (url.scheme_str().unwrap_or_default().to_owned(), authority.to_string());
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let place = places.entry(key).or_insert_with(|| Place {
            url,
            host,
            subscriptions: Vec::new(),
            proven: false,
        });
        place.proven |= proven.contains(&*subscription.name);
        place.subscriptions.push(subscription.name.clone());
    }
    places.into_values().collect()
}

async fn look(place: Place, around: &Surroundings) -> Finding {
    let problem = |text: String, help: String| {
        Finding::problem("callbacks", format!("{}: {text}", place.named()), Some(help))
    };
    match reach(&place.url, REACH_WITHIN).await {
        Err(Unreachable::Refused(said)) => {
            let help = match place.other_family().await {
                Some(help) => help,
                None => around.nobody_listens(&place.host),
            };
            problem(said, help)
        }
        Err(Unreachable::NoSuchName(said)) => problem(said, around.no_such_name(&place.host)),
        Err(Unreachable::NoTls(said)) => {
            problem(said, "write `http://` in its url_callback, or have TLS there".into())
        }
        Err(Unreachable::Certificate(said)) => {
            let help = "renew it there or trust its authority with `SSL_CERT_FILE` where the daemon is started; \
                        on loopback plain `http://` needs no certificate";
            problem(said, help.to_owned())
        }
        Err(Unreachable::TimedOut(said)) => {
            problem(said, "is the address right, and does a firewall or a VPN stand between?".into())
        }
        Err(Unreachable::Silent(said)) => problem(
            said,
            "does that program hang, or speak no TLS? Then write `http://` in its url_callback".into(),
        ),
        Err(Unreachable::Failed(said)) => problem(said, "does that program serve HTTP there?".into()),
        Ok(()) if place.is_plain() && !place.proven && speaks_tls(&place.url, REACH_WITHIN).await => {
            let (name, to) = (place.named(), place.to());
            let text = format!("{name}: `{to}` speaks TLS, and the URL begins with `http://`");
            Finding::problem("callbacks", text, "write `https://` in its url_callback".to_owned())
        }
        Ok(()) => Finding::ok("callbacks", format!("{}: `{}` takes connections", place.named(), place.to()))
            .remove(0),
    }
}

impl Place {
    fn to(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    fn is_plain(&self) -> bool {
        self.url.scheme_str() == Some("http")
    }

    fn named(&self) -> String {
        let named: Vec<_> = self.subscriptions.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        match self.subscriptions.len() - named.len() {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// Whether somebody listens on the loopback address that was not meant.
    async fn other_family(&self) -> Option<String> {
        let other: IpAddr = match self.host.parse().ok()? {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Ipv4Addr::LOCALHOST.into(),
            _ => return None,
        };
        let port = self.url.port_u16().unwrap_or(if self.is_plain() { 80 } else { 443 });
        let there = std::net::SocketAddr::new(other, port);
        let url = format!("http://{there}/").parse().ok()?;
        reach(&url, REACH_WITHIN).await.ok()?;
        Some(format!(
            "something listens on {there}: write `localhost` in its url_callback, which is tried on both, \
             or have it listen on {} as well",
            self.host
        ))
    }
}

/// What stands between this process and what people call "this machine".
#[derive(Debug, Default)]
struct Surroundings {
    container: bool,
    wsl: bool,
}

impl Surroundings {
    fn of(ground: &Ground<'_>) -> Surroundings {
        let marks = [".dockerenv", "run/.containerenv"];
        let container = marks.iter().any(|mark| ground.root.join(mark).exists());
        let kernel = ground.system("proc/version").unwrap_or_default().to_lowercase();
        Surroundings { container, wsl: kernel.contains("microsoft") }
    }

    fn nobody_listens(&self, host: &str) -> String {
        let start = "start it, or if it runs in a container, publish its port (`docker run -p 3000:3000 …`)";
        match () {
            () if !is_loopback(host) => {
                format!("{start}; it must listen on this address, not on 127.0.0.1 only")
            }
            () if self.container => format!(
                "start it; this is a container, and `{host}` is the container itself: for a program outside of it \
                 write `host.docker.internal` (on Linux with `--add-host=host.docker.internal:host-gateway`)"
            ),
            () if self.wsl => format!(
                "{start}; this is WSL: a program on Windows is reached at the address that `ip route show default` \
                 names, or with `networkingMode=mirrored` in `.wslconfig`"
            ),
            () => start.to_owned(),
        }
    }

    fn no_such_name(&self, host: &str) -> String {
        match (host.ends_with(".docker.internal"), self.container) {
            (true, true) => {
                "start the container with `--add-host=host.docker.internal:host-gateway`".to_owned()
            }
            (true, false) => {
                "only containers know this name: write `localhost` for a program on this machine".to_owned()
            }
            (false, true) => {
                "a container knows the names of its own networks: is the callback's container in one of them?"
                    .to_owned()
            }
            (false, false) => "is the name right, and is there a network?".to_owned(),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_depends_on_where_the_daemon_is() {
        let (plain, container, wsl) = (
            Surroundings::default(),
            Surroundings { container: true, wsl: false },
            Surroundings { container: false, wsl: true },
        );
        for (around, host, wanted) in [
            (&plain, "127.0.0.1", "publish its port"),
            (&plain, "172.17.0.1", "not on 127.0.0.1 only"),
            (&container, "localhost", "host.docker.internal"),
            (&container, "172.17.0.1", "not on 127.0.0.1 only"),
            (&wsl, "::1", "networkingMode=mirrored"),
        ] {
            let said = around.nobody_listens(host);
            assert!(said.contains(wanted), "{around:?} {host}: {said}");
        }
        assert!(plain.no_such_name("host.docker.internal").contains("write `localhost`"));
        assert!(container.no_such_name("host.docker.internal").contains("--add-host"));
        assert!(container.no_such_name("web").contains("networks"));
    }
}
