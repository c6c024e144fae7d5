//! Every folder in `examples/` works as it is told: a story delivers what its
//! `expected.json` says, a receiver validates itself and takes a signed event.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Receiver, Relay, event, repository};

/// How many there are; a loop over them must not pass because it found none.
const STORIES: usize = 4;
const RECEIVERS: usize = 2;

/// The secret all examples share.
const SECRET: &str = "a-secret-for-examples-only";

/// Folders of `examples/` that hold this file.
fn examples_with(file: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.join(file).exists()).collect();
    folders.sort();
    folders
}

#[test]
fn every_folder_is_a_story_or_a_receiver() {
    let all =
        fs::read_dir(repository("examples")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(all.count(), STORIES + RECEIVERS);
    for example in examples_with("") {
        assert!(
            !example.is_dir() || example.join("README.md").exists(),
            "{} has no README.md",
            example.display()
        );
    }
}

#[test]
fn every_story_is_true() {
    let stories = examples_with("config.toml");
    assert_eq!(stories.len(), STORIES, "{stories:?}");
    for story in stories {
        let receiver = Receiver::start();
        receiver.trust(SECRET);
        let relay = start(&story, &receiver);
        tell(&story, &relay, &receiver);
    }
}

/// The story's own config, with ports that are free and a store that is gone afterwards.
fn start(story: &Path, receiver: &Receiver) -> Relay {
    let mut relay = Relay::prepare("");
    let config = fs::read_to_string(story.join("config.toml")).unwrap();
    let store = format!("../../target/examples/{}", story.file_name().unwrap().display());
    for part in ["127.0.0.1:3000", &store] {
        assert!(config.contains(part), "{}: no `{part}` in its config", story.display());
    }
    let config = config.replace("127.0.0.1:3000", &format!("127.0.0.1:{}", receiver.port()));
    let config = config.replace(&store, relay.store().to_str().unwrap());
    let config = config.replace("../../plugins", repository("plugins").to_str().unwrap());
    relay.save_whole(&format!("{config}\n[listen]\ntcp = \"127.0.0.1:0\"\n"));
    relay.start_again();
    relay
}

fn tell(story: &Path, relay: &Relay, receiver: &Receiver) {
    let name = story.display();
    let events = fs::read_to_string(story.join("events.ndjson")).unwrap();
    let expected: Vec<Value> =
        serde_json::from_slice(&fs::read(story.join("expected.json")).unwrap()).unwrap();
    let sent = relay.cli_with_input(&["send", "-"], &events);
    assert_eq!(sent.code, 0, "{name}: {sent:?}");
    receiver.wait_for(expected.len());
    relay.wait_until("nothing waits any more", |status| {
        status["subscriptions"].as_array().unwrap().iter().all(|one| one["pending"] == 0)
    });
    let mut arrived: Vec<_> =
        receiver.events().iter().map(|event| (event.path.clone(), event.json())).collect();
    for wanted in &expected {
        let fits = |(path, body): &(String, Value)| {
            wanted["path"] == path.as_str() && part_of(&wanted["body"], body)
        };
        let found = arrived.iter().position(fits);
        arrived.remove(found.unwrap_or_else(|| panic!("{name}: {wanted} did not arrive; left: {arrived:?}")));
    }
    assert!(arrived.is_empty(), "{name}: nobody expects {arrived:?}");
}

/// Whether everything that `part` says is so in `whole`.
fn part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| part_of(value, other)))
        }
        _ => part == whole,
    }
}

#[test]
fn every_receiver_validates_and_takes_a_signed_event() {
    let commands = [("python3", "receiver.py"), ("node", "receiver.mjs")];
    let found: usize = commands.iter().map(|(_, file)| examples_with(file).len()).sum();
    assert_eq!(found, RECEIVERS);
    for (interpreter, file) in commands {
        let script = examples_with(file).remove(0).join(file);
        let Some((_process, url)) = run(interpreter, &script) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "`{interpreter}` is not installed");
            eprintln!("skipped: `{interpreter}` is not installed, so {file} was not tried");
            continue;
        };
        let table = |name: &str, secret: &str| {
            format!(
                "[subscription.{name}]\nurl_callback = \"{url}/{name}\"\nevent_filters = [\"*.*\"]\n\
                 secret = \"{secret}\"\n"
            )
        };
        let relay = Relay::start(&(table("right", SECRET) + &table("wrong", "not the secret")));
        relay.wait_for_status("right", "enabled");
        relay.send(&event("tag.created", 1));
        relay.wait_for_outcome(1, "right", "delivered");
        assert_eq!(relay.subscription("wrong")["validated_at"], Value::Null, "{file} takes wrong signatures");
    }
}

/// Ended with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a receiver on a free port; returns where it listens, as its first line says.
fn run(interpreter: &str, script: &Path) -> Option<(Process, String)> {
    let mut command = Command::new(interpreter);
    let mut process = Process(command.arg(script).arg("0").stdout(Stdio::piped()).spawn().ok()?);
    let mut line = String::new();
    BufReader::new(process.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{script:?} says {line:?}"));
    Some((process, url.to_owned()))
}
