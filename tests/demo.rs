//! `trackrelay demo` needs nothing and shows everything.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::Relay;
use crate::harness::relay::{output, signal};

#[test]
fn the_demo_tells_its_story_in_under_ten_seconds() {
    let relay = Relay::prepare("this is no config, and the demo does not care");
    let started = Instant::now();
    let shown = output(relay.bare_command(&["demo"]), "");
    let took = started.elapsed();
    eprintln!("demo: {took:?}");
    assert_eq!(shown.code, 0, "{shown:?}");
    let story = format!("{}{}", shown.stdout, shown.stderr).to_lowercase();
    for word in ["signature", "filter", "slack", "pending", "disabled", "enable"] {
        assert!(story.contains(word), "the demo does not mention `{word}`:\n{story}");
    }
    assert!(took < Duration::from_secs(10), "{took:?}");
    let left: Vec<_> = relay.path("state").read_dir().unwrap().collect();
    assert!(left.is_empty(), "leaves nothing behind: {left:?}");
}

/// Ctrl-C.
#[test]
fn a_demo_that_is_interrupted_clears_up() {
    let relay = Relay::prepare("");
    let folder = relay.path("temporary");
    fs::create_dir(&folder).unwrap();
    let mut command = relay.bare_command(&["demo"]);
    command.env("TMPDIR", &folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut demo = command.spawn().unwrap();
    let mut told = BufReader::new(demo.stderr.take().unwrap());
    told.read_line(&mut String::new()).unwrap();
    signal(&demo, Signal::INT);
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.ends_with("error: interrupted; nothing is left behind\n"), "{rest}");
    assert_eq!(folder.read_dir().unwrap().count(), 0);
}
