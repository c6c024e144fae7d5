//! `trackrelay demo` needs nothing and shows everything.

use std::time::{Duration, Instant};

use crate::harness::Relay;
use crate::harness::relay::output;

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
