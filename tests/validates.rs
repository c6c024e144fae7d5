//! A callback proves itself before it gets events: a signed PING with a code, an echo or
//! a visit to the validation URL.

use serde_json::Value;

use crate::harness::{Answer, Gate, Receiver, Relay, Sender, event, wait_until};

fn table(receiver: &Receiver, name: &str) -> String {
    receiver.table(name).replace("validation = \"off\"\n", "")
}

#[test]
fn an_echo_validates_and_a_restart_does_not_repeat_it() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&table(&receiver, "all"));
    let ping = receiver.wait_for_pings(1).pop().unwrap();
    let body = ping.json();
    let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys[8..], ["validation_code", "validation_code_url"], "last, in this order");
    let code = body["validation_code"].as_str().unwrap();
    assert!(code.len() == 32 && code.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{code}");
    let id = &body["subscription_id"];
    let url = format!("http://{}/webhooks/api/v1/validate/4200017/{id}/{code}", relay.tcp());
    assert_eq!(body["validation_code_url"], url.as_str());
    let state = relay.wait_for_status("all", "enabled");
    assert!(state["validated_at"].is_string(), "{state}");
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    relay.restart();
    relay.send(&event("tag.created", 2));
    receiver.wait_for(2);
    assert_eq!(receiver.pings().len(), 1, "a restart does not repeat it");
    assert_eq!(relay.subscription("all")["validated_at"], state["validated_at"]);
}

#[test]
fn without_an_answer_events_are_recorded_and_can_be_sent_later() {
    let receiver = Receiver::start();
    receiver.answer_all(200);
    let relay = Relay::start(&table(&receiver, "all"));
    receiver.wait_for_pings(1);
    let missed = first_event_not_kept(&relay);
    assert_eq!(relay.subscription("all")["status"], "not_validated");

    receiver.answer(|request, _| Answer::proper(request));
    let output = relay.cli(&["validate", "all"]);
    assert_eq!(output.code, 0, "{output:?}");
    relay.wait_for_status("all", "enabled");
    assert_eq!(relay.cli(&["replay", "--missed", "all"]).code, 0);
    relay.wait_for_outcome(missed, "all", "delivered");
    assert!(receiver.ids_at("all").contains(&missed));
}

#[test]
fn the_validation_url_validates() {
    let receiver = Receiver::start();
    receiver.answer_all(204);
    let relay = Relay::start(&table(&receiver, "all"));
    let ping = receiver.wait_for_pings(1).pop().unwrap().json();
    let url = ping["validation_code_url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("http://{}", relay.tcp())).unwrap().to_owned();
    let wrong = path.replace(ping["validation_code"].as_str().unwrap(), &"0".repeat(32));
    let mut sender = Sender::tcp(&relay);
    let refused = sender.get(&wrong);
    assert_eq!(refused.status, 400);
    assert!(refused.refusal().contains("was not found"), "{}", refused.text());
    let reply = sender.get(&path);
    assert_eq!((reply.status, reply.json()), (200, Value::from("OK")));
    relay.wait_for_status("all", "enabled");
    let again = sender.get(&path);
    assert_eq!(again.status, 400);
    assert!(again.refusal().contains("has already been validated"), "{}", again.text());
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
}

#[test]
fn until_the_first_ping_is_answered_events_wait() {
    let receiver = Receiver::start();
    let gate = receiver.hold();
    let relay = Relay::start(&table(&receiver, "all"));
    receiver.wait_for_pings(1);
    relay.send(&event("tag.created", 1));
    assert_eq!(relay.decision(1, "all")["outcome"], "pending");
    assert!(receiver.events().is_empty());
    gate.open();
    receiver.wait_for(1);
    relay.wait_for_outcome(1, "all", "delivered");
}

#[test]
fn another_url_has_to_prove_itself_anew() {
    let receiver = Receiver::start();
    receiver.answer(
        |request, _| {
            if request.path == "/moved" { Answer::status(200) } else { Answer::proper(request) }
        },
    );
    let first = table(&receiver, "all");
    let relay = Relay::start(&first);
    relay.wait_for_status("all", "enabled");
    relay.save(&first.replace("/all\"", "/moved\""));
    let state = relay.wait_for_status("all", "not_validated");
    assert_eq!(state["validated_at"], Value::Null);
    let pings = receiver.wait_for_pings(2);
    assert_ne!(pings[0].json()["validation_code"], pings[1].json()["validation_code"]);
    assert_eq!(pings[1].path, "/moved");
}

#[test]
fn who_adds_one_hears_how_its_first_ping_went() {
    let receiver = Receiver::start();
    let gate = Gate::default();
    let held = gate.clone();
    receiver.answer(move |request, _| match request.path.as_str() {
        "/mute" => Answer::status(200),
        "/slow" => Answer::proper(request).when(&held),
        _ => Answer::proper(request),
    });
    let relay = Relay::start("");
    for name in ["echo", "mute", "slow"] {
        std::fs::write(relay.path(name), crate::harness::SECRET).unwrap();
    }
    let add = |name: &str| {
        let secret = relay.path(name);
        relay.cli(&[
            "add",
            name,
            "--url",
            &receiver.url(name),
            "--event",
            "*.*",
            "--secret-file",
            secret.to_str().unwrap(),
        ])
    };
    assert_eq!(add("echo").stdout, "echo: enabled\n", "its echo is waited for");
    let mute = add("mute");
    let url = relay.subscription("mute")["validation_code_url"].as_str().unwrap().to_owned();
    let command = format!("trackrelay validate mute --config {}", relay.config().display());
    for said in ["mute: not_validated\n", "(it answered without the validation code)", &url, &command] {
        assert!(mute.stdout.contains(said), "{mute:?}");
    }
    // What answers too late for the command is told of as it stands.
    let slow = add("slow");
    assert!(slow.stdout.contains("has not answered yet; until then events wait"), "{slow:?}");
    gate.open();
    relay.wait_for_status("slow", "enabled");
    let moved = relay.cli(&["edit", "echo", "--set", &format!("url_callback={}", receiver.url("mute"))]);
    assert!(moved.stdout.contains("echo: not_validated\n") && moved.stdout.contains(&url[..40]), "{moved:?}");
}

/// As Track's page has them, each with its reason: for people, for scripts, for monitoring.
#[test]
fn every_status_is_told_with_its_reason() {
    let receiver = Receiver::start();
    receiver.answer(|request, _| Answer::status(if request.path == "/fine" { 200 } else { 404 }));
    let tables = [
        receiver.table("fine"),
        receiver.table("slow") + "retry = [\"1h\"]\n",
        table(&receiver, "mute"),
        receiver.table("off") + "enabled = false\n",
        receiver.table("failed") + "disable_after = 1\n",
    ];
    let relay = Relay::start(&tables.concat());
    receiver.wait_for_pings(1);
    first_event_not_kept_by(&relay, "mute");
    for (name, status, label, said, help) in [
        ("fine", "enabled", "", "", ""),
        ("slow", "pending", "failed_attempt", "answered 404", "next try in"),
        ("mute", "not_validated", "no_code", "404", "trackrelay validate mute"),
        ("off", "disabled", "config", "`enabled = false`", "trackrelay enable off"),
        ("failed", "disabled", "failures", "answered 404", "trackrelay enable failed"),
    ] {
        let state = relay.wait_for_status(name, status);
        assert!(state["status_reason"].as_str().unwrap_or_default().contains(said), "{state}");
        let series = format!(
            "trackrelay_subscription_status{{subscription=\"{name}\",status=\"{status}\",reason=\"{label}\"}}"
        );
        assert_eq!(relay.metric(&series), Some(1.0), "{series}");
        for command in ["list", "status"] {
            let told = relay.cli(&[command]).stdout;
            let (_, of_it) =
                told.split_once(&format!("\n{name} ")).unwrap_or_else(|| panic!("{name}: {told}"));
            let note = of_it.lines().nth(1).filter(|line| line.starts_with("  ")).unwrap_or_default();
            assert!(note.contains(said) && note.contains(help), "{name}: {told}");
        }
    }
}

#[test]
fn validation_off_skips_it() {
    let receiver = Receiver::start();
    let relay = Relay::start(&receiver.table("all"));
    relay.send(&event("tag.created", 1));
    receiver.wait_for(1);
    assert!(receiver.pings().is_empty());
}

/// Sends events until one is no longer kept waiting: the answer to the PING has been noted.
/// Returns its id.
fn first_event_not_kept(relay: &Relay) -> i64 {
    first_event_not_kept_by(relay, "all")
}

fn first_event_not_kept_by(relay: &Relay, name: &str) -> i64 {
    let mut id = 400;
    wait_until("the PING's answer counts", || {
        id += 1;
        relay.send(&event("tag.created", id));
        (relay.decision(id, name)["outcome"] == "skipped_not_validated").then_some(id)
    })
}
