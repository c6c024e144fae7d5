//! What stands between programs of this machine: who has our port, and proxies that
//! programs are told to use.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::checks::{Finding, Ground};
use crate::cli::output::clean;

/// Processes that are looked through for the one that has our port.
const MOST_PROCESSES: usize = 10_000;

/// Whether a daemon could listen; nothing where one does.
pub(super) fn port(ground: &Ground<'_>) -> Vec<Finding> {
    let Some(tcp) = ground.config().map(|config| config.listen.tcp).filter(|tcp| tcp.port() != 0) else {
        return Vec::new();
    };
    if ground.running().is_some() {
        return Vec::new();
    }
    match TcpListener::bind(tcp) {
        Ok(_listener) => Finding::ok("port", format!("{tcp} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let who = holder(ground, tcp).unwrap_or_else(|| "another program".to_owned());
            let help = "stop it, or set another `[listen] tcp` (port 0 takes a free one)".to_owned();
            vec![Finding::problem("port", format!("{tcp} is taken by {who}"), help)]
        }
        Err(error) => {
            let help = "set another `[listen] tcp`".to_owned();
            vec![Finding::problem("port", format!("cannot listen on {tcp}: {error}"), help)]
        }
    }
}

/// The process that listens there, as far as this user may see it.
fn holder(ground: &Ground<'_>, tcp: SocketAddr) -> Option<String> {
    let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|table| ground.system(table).unwrap_or_default());
    let sockets: Vec<String> = tables.iter().flat_map(|table| listening(table, tcp.port())).collect();
    let processes = fs::read_dir(ground.root.join("proc")).ok()?.flatten().take(MOST_PROCESSES);
    let mut processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = processes.find(|pid| {
        let files = fs::read_dir(ground.root.join(format!("proc/{pid}/fd"))).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
    })?;
    let name = ground.system(&format!("proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} (`{}`)", clean(name.trim())))
}

/// Sockets that listen on a port, as links to them read, of a table of the kernel.
fn listening(table: &str, port: u16) -> impl Iterator<Item = String> {
    let end = format!(":{port:04X}");
    table.lines().filter_map(move |line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let listens = columns.get(3) == Some(&"0A") && columns.get(1)?.ends_with(&end);
        listens.then(|| columns.get(9).map(|inode| format!("socket:[{inode}]")))?
    })
}

const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// We use no proxy, but whoever posts to us may, and then never arrives. What the variables
/// hold is not said: it may have a password.
pub(super) fn proxies(ground: &Ground<'_>) -> Vec<Finding> {
    let variable = |name: &&str| ground.here.env()(name).is_some_and(|value| !value.is_empty());
    let set: Vec<&str> = PROXIES.into_iter().filter(|name| variable(name)).collect();
    let exempt = ["NO_PROXY", "no_proxy"].iter().find_map(|name| ground.here.env()(name)).unwrap_or_default();
    match set.as_slice() {
        [] => Vec::new(),
        _ if exempts_us(&exempt) => Finding::ok(
            "proxies",
            format!("{} is set, and NO_PROXY keeps this machine out of it", set.join(", ")),
        ),
        _ => {
            let text = format!(
                "{} is set: the daemon calls callbacks directly, but programs that post to the daemon may go to the proxy instead",
                set.join(", ")
            );
            let help = "set `NO_PROXY=localhost,127.0.0.1,::1` for them".to_owned();
            vec![Finding::warning("proxies", text, help)]
        }
    }
}

fn exempts_us(list: &str) -> bool {
    let names: Vec<&str> = list.split(',').map(str::trim).collect();
    names.contains(&"*") || ["localhost", "127.0.0.1"].iter().all(|name| names.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1E25 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n\
             1: 0100007F:1E25 0100007F:A2C4 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1\n\
             2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";
        assert_eq!(listening(table, 7717).collect::<Vec<_>>(), ["socket:[4711]"]);
        assert_eq!(listening("nonsense\n", 80).count(), 0);
    }

    #[test]
    fn a_proxy_is_kept_from_us_by_both_names() {
        for (list, wanted) in [("", false), ("localhost", false), ("localhost, 127.0.0.1", true), ("*", true)]
        {
            assert_eq!(exempts_us(list), wanted, "{list}");
        }
    }
}
