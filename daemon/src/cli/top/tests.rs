use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::model::{Goes, Model, Sort};
use super::rate::{Latencies, Rate};
use super::view;
use crate::cli::live::{Heard, Hello};

fn at(text: &str) -> Timestamp {
    format!("2025-09-10T10:00:{text}Z").parse().unwrap()
}

fn subscription(name: &str, status: &str, pending: u64, more: Value) -> Value {
    let mut subscription = json!({
        "name": name, "status": status, "pending": pending, "held": 0, "unreadable": 0, "delivered": 12,
        "failed_attempts": 0, "last_error": null, "retry_at": null, "disabled_reason": null,
        "validation_code_url": null, "url_callback": "http://127.0.0.1:3000/", "event_filters": ["*.*"],
    });
    subscription.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    subscription
}

fn model(sort: Sort) -> Model {
    let mut model = Model::new(sort);
    let status = json!({
        "version": "0.1.0", "pid": 4711, "started_at": "2025-09-10T08:00:00Z",
        "listen": { "tcp": "127.0.0.1:7717", "unix": null },
        "config": { "state": "ok", "loaded_at": "2025-09-10T08:00:00Z" },
        "subscriptions": [
            subscription("plain", "enabled", 0, json!({})),
            subscription("crm", "pending", 3, json!({
                "last_error": "answered 500: \u{1b}[2Joh\nno", "retry_at": "2025-09-10T10:00:40Z",
            })),
            subscription("an-old-one", "disabled", 0, json!({ "disabled_reason": "3 attempts failed in a row" })),
        ],
        "sources": [{
            "name": "track", "path": "/track/track", "events": 5, "last_event_at": "2025-09-10T10:00:07Z",
            "last_ping_at": null, "refused": 1,
            "last_refusal": { "at": "2025-09-10T09:59:00Z", "said": "the signature does not match" },
        }],
    });
    model.know(serde_json::from_value(status).unwrap());
    for (second, name, outcome, ms) in
        [("08", "plain", "delivered", 12), ("09", "plain", "delivered", 1400), ("09", "crm", "pending", 3)]
    {
        let news = json!({
            "at": at(second), "type": "attempt", "event_id": 17, "entity": "tag", "action": "created",
            "subscription": name, "outcome": outcome, "replay": false, "n": 1, "status": null, "error": null,
            "ms": ms, "next_try": null,
        });
        model.hear(news_of(news));
    }
    model.hear(news_of(json!({
        "at": at("09"), "type": "event", "event_id": 17, "entity": "tag", "action": "created", "source": "events",
        "duplicate": false, "subscriptions": ["plain", "crm"],
    })));
    model
}

fn news_of(news: Value) -> Heard {
    Heard::News { news: Box::new(serde_json::from_value(news).unwrap()), data: String::new() }
}

fn shown(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, model, at("10"), true)).unwrap();
    super::lines(terminal.backend().buffer())
}

#[test]
fn a_frame_says_everything_at_a_glance() {
    let wanted = [
        "trackrelay 0.1.0  up 2h 10s  127.0.0.1:7717  config ok  store ok",
        "events 0.1/s  attempts 0.3/s  failed 0.1/s",
        "",
        "NAME       STATUS▼        PER S  WAITING    P50    P99 WHY",
        "an-old-one disabled         0.0        0      -      - 3 attempts failed in a row",
        "crm        pending          0.1        3    3ms    3ms next try in 30s: answered 500: \\u{1b}[2Joh no",
        "plain      enabled          0.2        0   12ms   1.4s",
        "",
        "source track: 5 events, the last 3s ago; 1 refused, the last 1m 10s ago: the signature does not match",
        "q quit  sort: n name  s status  r rate  w waiting  l latency  ↑↓ scroll",
    ];
    assert_eq!(shown(&model(Sort::Status), 120, 10), wanted);
}

#[test]
fn names_of_wide_signs_are_whole_and_line_up() {
    let mut model = Model::new(Sort::Name);
    let status = json!({
        "version": "0.1.0", "pid": 4711, "started_at": "2025-09-10T08:00:00Z",
        "listen": { "tcp": "127.0.0.1:7717", "unix": null },
        "config": { "state": "ok", "loaded_at": "2025-09-10T08:00:00Z" },
        "subscriptions": [subscription("日本語の名", "enabled", 0, json!({}))],
        "sources": [],
    });
    model.know(serde_json::from_value(status).unwrap());
    let lines = shown(&model, 80, 6);
    assert_eq!(lines[3], "NAME▼      STATUS         PER S  WAITING     P99 WHY");
    assert_eq!(lines[4], "日本語の名 enabled          0.0        0       -");
}

#[test]
fn on_a_narrow_screen_the_reason_has_room() {
    let lines = shown(&model(Sort::Status), 80, 10);
    assert_eq!(lines[3], "NAME       STATUS▼        PER S  WAITING     P99 WHY");
    assert_eq!(lines[5], "crm        pending          0.1        3     3ms next try in 30s: answered 500:");
}

#[test]
fn a_screen_of_any_size_is_drawn_on() {
    for (width, height) in [(80, 24), (20, 5), (3, 2), (1, 1)] {
        assert_eq!(shown(&model(Sort::Name), width, height).len(), usize::from(height));
    }
}

#[test]
fn keys_sort_turn_scroll_and_end() {
    let mut model = model(Sort::Name);
    let mut press = |code| model.press(KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(press(KeyCode::Char('w')), Goes::Anew);
    assert_eq!(press(KeyCode::Char('x')), Goes::On);
    assert_eq!(press(KeyCode::Esc), Goes::Away);
    assert_eq!(press(KeyCode::Char('c')), Goes::On);
    assert_eq!(model.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Goes::Away);
    let names = |model: &Model| -> Vec<String> {
        model.ordered(at("10")).into_iter().map(|one| one.name.clone()).collect()
    };
    assert_eq!(names(&model), ["crm", "plain", "an-old-one"]);
    model.press(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::NONE));
    assert_eq!(names(&model), ["an-old-one", "plain", "crm"]);
    model.press(KeyEvent::new(KeyCode::Char('l'), KeyModifiers::NONE));
    assert_eq!(names(&model), ["plain", "crm", "an-old-one"]);
    model.press(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
    model.fit(2);
    assert_eq!(model.first, 1, "no further than to the last");
}

#[test]
fn a_daemon_that_goes_away_is_said_to_have_gone_until_it_is_back() {
    let mut model = model(Sort::Name);
    model.hear(Heard::Gone);
    assert!(shown(&model, 80, 10)[0].starts_with("the daemon is not there; waiting"));
    let hello = Hello { version: "0.1.0".into(), started_at: at("09") };
    model.hear(Heard::Hello { hello, anew: true });
    assert!(shown(&model, 80, 10)[0].starts_with("trackrelay 0.1.0"));
    model.hear(Heard::Missed { count: 7, data: String::new() });
    assert!(shown(&model, 80, 10)[1].ends_with("missed 7: too much to follow"));
}

#[test]
fn rates_fade_and_percentiles_are_of_the_last() {
    let mut rate = Rate::default();
    for second in ["00", "00", "05"] {
        rate.count(at(second));
    }
    for (second, wanted) in [("05", 0.3), ("09", 0.3), ("10", 0.1), ("14", 0.1), ("15", 0.0)] {
        assert!(
            (rate.per_second(at(second)) - wanted).abs() < 1e-9,
            "{second}: {}",
            rate.per_second(at(second))
        );
    }
    let mut latencies = Latencies::default();
    assert_eq!(latencies.percentile(50), None);
    for ms in 1..=1000 {
        latencies.add(ms);
    }
    // Of 745 to 1000.
    assert_eq!((latencies.percentile(50), latencies.percentile(99)), (Some(872), Some(998)));
}
