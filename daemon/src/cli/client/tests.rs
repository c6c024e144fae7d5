//! The client against a small daemon of our own.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::cli::fake::{fake, runtime, serve};

#[tokio::test]
async fn a_refusal_carries_the_daemons_words() {
    let daemon = fake(|_, _, _| (404, json!("no subscription `slak`, did you mean `slack`?")));
    let failure = daemon.client.get(&Target::subscription("slak", "secret")).await.unwrap_err();
    assert_eq!(failure.to_string(), "no subscription `slak`, did you mean `slack`?");
    assert_eq!(failure.exit_code(), 1);
}

#[tokio::test]
async fn tcp_gets_the_token_and_the_socket_does_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api-token"), "0123abc\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let runtime = Runtime {
        tcp: listener.local_addr().unwrap(),
        unix: Some("/nowhere.sock".into()),
        ..runtime(folder.path())
    };
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let client = Client::new(runtime, "/a/config.toml".into(), "not running".into());
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, Arc::clone(&asked), Arc::new(|_, _, _| (200, json!({})))).await;
    };
    let target = Target::new(&["api", "status"]);
    let (reply, ()) = tokio::join!(client.get(&target), server);
    reply.unwrap();
    assert_eq!(*asked.lock().unwrap(), ["GET /api/status (Bearer 0123abc)"]);

    let daemon = fake(|_, _, _| (200, json!({})));
    daemon.client.get(&Target::new(&["api", "status"])).await.unwrap();
    assert_eq!(daemon.asked(), ["GET /api/status"]);
}

#[tokio::test]
async fn a_stale_runtime_file_is_a_daemon_that_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime { unix: Some(folder.path().join("gone.sock")), ..runtime(folder.path()) };
    let client = Client::new(runtime, "/a/config.toml".into(), "not running".into());
    let failure = client.get(&Target::new(&["api", "status"])).await.unwrap_err();
    assert!(matches!(&failure, Failure::NoDaemon(text) if text == "not running"), "{failure:?}");
}

#[tokio::test]
async fn a_dead_daemons_port_is_not_shown_the_token() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api-token"), "0123abc").unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let runtime = Runtime { pid: gone.id(), tcp: stranger.local_addr().unwrap(), ..runtime(folder.path()) };
    let client = Client::new(runtime, "/a/config.toml".into(), "not running".into());
    let failure = client.get(&Target::new(&["api", "status"])).await.unwrap_err();
    assert_eq!(failure.exit_code(), 69);
}

#[test]
fn targets_are_escaped() {
    assert_eq!(Target::subscription("a b/c?", "test").to_string(), "/api/subscriptions/a%20b%2Fc%3F/test");
    let target = Target::new(&["api", "why", "7"]).query("subscription", "ä & b");
    assert_eq!(target.to_string(), "/api/why/7?subscription=%C3%A4+%26+b");
}
