//! The doors: who may ask what over TCP, and who may open the Unix socket and the files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::relay::output;
use crate::harness::{Receiver, Relay, Reply, Sender, event};

fn relay() -> Relay {
    Relay::start("")
}

/// Posts an event over TCP with these headers.
fn post(relay: &Relay, headers: &[(&str, &str)]) -> Reply {
    let body = event("tag.created", 1).json();
    Sender::tcp(relay).request("POST", "/events", headers, body.as_bytes())
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn only_our_own_names_are_answered() {
    let relay = relay();
    let port = relay.tcp().port();
    let with_port = |host: &str| format!("{host}:{port}");
    for host in ["127.0.0.1".to_owned(), "localhost".to_owned(), with_port("localhost"), with_port("[::1]")] {
        assert_eq!(post(&relay, &[("host", &host), JSON]).status, 202, "{host}");
    }
    let rebound =
        ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "169.254.169.254", "", "0.0.0.0"];
    for host in rebound.map(str::to_owned).into_iter().chain([with_port("evil.example")]) {
        let reply = post(&relay, &[("host", &host), JSON]);
        assert!((400..500).contains(&reply.status), "{host}: {}", reply.status);
        assert!(reply.header("access-control-allow-origin").is_none());
    }
    assert!((400..500).contains(&post(&relay, &[("host", "localhost:1"), JSON]).status), "another port");
}

#[test]
fn names_of_the_config_are_answered() {
    let mut relay = Relay::prepare("");
    relay.save_whole("[listen]\ntcp = \"127.0.0.1:0\"\nhosts = [\"relay.test\"]\n");
    relay.start_again();
    assert_eq!(post(&relay, &[("host", "relay.test"), JSON]).status, 202);
    assert!((400..500).contains(&post(&relay, &[("host", "other.test"), JSON]).status));
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let relay = relay();
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", "file://"] {
        let reply = post(&relay, &[("origin", origin), JSON]);
        assert_eq!(reply.status, 403, "{origin}");
        assert!(reply.header("access-control-allow-origin").is_none(), "{origin}");
        let token = format!("Bearer {}", relay.token());
        let headers = [("origin", origin), ("authorization", token.as_str())];
        assert_eq!(Sender::tcp(&relay).request("GET", "/api/status", &headers, b"").status, 403, "{origin}");
    }
    assert_eq!(post(&relay, &[("sec-fetch-site", "cross-site"), JSON]).status, 403);
    let preflight =
        Sender::tcp(&relay).request("OPTIONS", "/events", &[("origin", "https://evil.example")], b"");
    assert!(preflight.status >= 400 && preflight.header("access-control-allow-methods").is_none());
}

#[test]
fn writes_need_a_json_content_type() {
    let relay = relay();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(post(&relay, &[("content-type", content_type)]).status, 415, "{content_type}");
    }
    assert_eq!(post(&relay, &[]).status, 415, "none at all");
    assert_eq!(post(&relay, &[("content-type", "application/json; charset=utf-8")]).status, 202);
    assert_eq!(post(&relay, &[JSON, ("content-encoding", "gzip")]).status, 415);
    let packed = [JSON, ("content-encoding", "gzip")];
    let refused =
        Sender::tcp(&relay).request("POST", "/webhooks/api/v1/subscriptions/1", &packed, b"\x1f\x8b");
    assert!(refused.status == 415 && refused.refusal().contains("not compressed"), "{}", refused.text());
    assert_eq!(relay.metric(r#"trackrelay_requests_refused_total{reason="content_encoding"}"#), Some(2.0));
}

#[test]
fn the_api_needs_the_token_over_tcp() {
    let relay = relay();
    let ask = |authorization: Option<&str>| {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        Sender::tcp(&relay).request("GET", "/api/status", &headers, b"")
    };
    let token = relay.token();
    assert_eq!(ask(Some(&format!("Bearer {token}"))).status, 200);
    let last_wrong = format!("Bearer {}x", &token[..token.len() - 1]);
    for wrong in
        [None, Some("Bearer "), Some("Bearer wrong"), Some(token.as_str()), Some(last_wrong.as_str())]
    {
        let reply = ask(wrong);
        assert_eq!(reply.status, 401, "{wrong:?}");
        assert!(!reply.text().contains(&token));
    }
    assert!(ask(None).refusal().contains("api-token"), "says where the token is");
    let write = Sender::tcp(&relay).post("/api/reload", "application/json", b"{}");
    assert_eq!(write.status, 401);
    assert_eq!(relay.get("/api/status").status, 200, "the Unix socket is the owner's alone");
    assert!(!relay.log().contains(&token), "the log shows the token");
}

#[test]
fn sockets_and_files_are_the_owners_alone() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("all"));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let check = |relay: &Relay| {
        assert_eq!(mode(&relay.unix()), 0o600);
        assert_eq!(mode(relay.unix().parent().unwrap()), 0o700);
        assert_eq!(mode(&relay.runtime_path().unwrap()), 0o600);
        assert_eq!(mode(&relay.store()), 0o700);
        assert_eq!(mode(&relay.store().join("api-token")), 0o600);
        for entry in relay.store().read_dir().unwrap().map(Result::unwrap) {
            assert_eq!(mode(&entry.path()) & 0o077, 0, "{}", entry.path().display());
        }
    };
    relay.send(&event("tag.created", 1));
    check(&relay);
    let token = relay.token();
    relay.restart();
    check(&relay);
    assert_eq!(relay.token(), token, "the token stays");
}

#[test]
fn answers_carry_no_invitation() {
    let relay = relay();
    for path in ["/healthz", "/nowhere", "/api/status"] {
        let reply = Sender::tcp(&relay).get(path);
        assert!(
            reply.header("content-security-policy").is_some_and(|csp| csp.contains("default-src 'none'")),
            "{path}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(
            reply.header("set-cookie").is_none() && reply.header("access-control-allow-origin").is_none()
        );
    }
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let relay = relay();
    let mut sender = Sender::tcp(&relay);
    let unknown = sender.get("/nowhere");
    assert_eq!(unknown.status, 404);
    assert!(!unknown.refusal().is_empty());
    let wrong = sender.get("/events");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert!(!wrong.refusal().is_empty());
    let wrong = sender.request("DELETE", "/healthz", &[], b"");
    assert_eq!(wrong.status, 405);
}

#[test]
fn malformed_http_harms_nobody() {
    let relay = relay();
    let host = relay.tcp();
    let post = |headers: &str, body: &str| {
        format!("POST /events HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    let table: Vec<Vec<u8>> = vec![
        b"\r\n\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        post("content-length: -1", ""),
        post("content-length: 5\r\ncontent-length: 6", "abcdef"),
        post("content-length: 3\r\ntransfer-encoding: chunked", "abc"),
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\n\r\n").into(),
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx: {}\r\n\r\n", "a".repeat(1 << 20)).into(),
        b"GET /healthz HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for bytes in table {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let mut sender = Sender::tcp(&relay);
        // The daemon may hang up before it has read everything; that is an answer too.
        let refused = sender.try_raw(&bytes).map_or(true, |reply| reply.status >= 400);
        assert!(refused, "{shown:?}");
    }
    let old = Sender::tcp(&relay).raw(format!("GET /healthz HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes());
    assert_eq!(old.status, 200, "HTTP/1.0 is old, not wrong");
    relay.send(&event("tag.created", 1));
}

#[test]
fn a_unix_socket_of_another_daemon_is_not_taken_away() {
    let relay = relay();
    let second = relay.cli(&["run"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("another"), "{second:?}");
    assert_eq!(relay.get("/healthz").status, 200);
}

#[test]
fn a_store_has_one_owner() {
    let relay = relay();
    let other = relay.path("other.toml");
    std::fs::write(&other, "[listen]\ntcp = \"127.0.0.1:0\"\nunix = \"off\"\n").unwrap();
    let mut command = relay.bare_command(&["run", "--config"]);
    command.arg(&other);
    let second = output(command, "");
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("in use by another daemon"), "{second:?}");
    assert!(second.stderr.contains(&relay.pid().to_string()), "names its process: {second:?}");
    relay.send(&event("tag.created", 1));
}

#[test]
fn what_a_crash_leaves_behind_is_in_nobodys_way() {
    let mut relay = relay();
    relay.kill9();
    assert!(relay.unix().exists() && relay.runtime_path().is_some(), "this test wants something left behind");
    let status = relay.cli(&["status"]);
    assert_eq!(status.code, 69, "{status:?}");
    relay.start_again();
    assert_eq!(relay.cli(&["status"]).code, 0);
}
