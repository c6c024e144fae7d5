//! The doctor: for each usual problem, planted here, its output names the cause and the way
//! out, and nothing is wrong where nothing was planted.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::harness::authority::Flaw;
use crate::harness::relay::{Output, output};
use crate::harness::tls::TlsReceiver;
use crate::harness::{Answer, Receiver, Relay, SECRET, event};

/// A subscription whose callback has never been called.
fn table(name: &str, url: &str) -> String {
    format!(
        "\n[subscription.{name}]\nurl_callback = \"{url}\"\nevent_filters = [\"*.*\"]\n\
         secret = \"sesame-and-more\"\nvalidation = \"off\"\n"
    )
}

/// The finding of a check that has all of these words.
#[track_caller]
fn found(run: &Output, check: &str, state: &str, cause: &[&str], fix: &str) {
    let checks = run.json()["checks"].clone();
    let fits = |finding: &&Value| {
        let text = finding["text"].as_str().unwrap_or_default();
        finding["check"] == check
            && finding["state"] == state
            && cause.iter().all(|words| text.contains(words))
            && finding["help"].as_str().unwrap_or_default().contains(fix)
    };
    let all = checks.as_array().unwrap();
    assert!(all.iter().find(fits).is_some(), "{check} {state} {cause:?} {fix}:\n{checks:#}");
}

#[test]
fn callbacks_that_cannot_be_reached_are_told_with_cause_and_way_out() {
    let receiver = Receiver::start();
    // Bound, so that nobody else has these ports, and never listening on IPv4.
    let six = TcpListener::bind("[::1]:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let secure = TlsReceiver::start(&["http/1.1"]);
    let expired = TlsReceiver::with(Flaw::Expired, &["http/1.1"]);
    let own = TlsReceiver::with(Flaw::SelfSigned, &["http/1.1"]);
    let plain = receiver.url("x").replace("http://", "https://");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let tables = [
        table("well", &receiver.url("well")),
        table("nobody", &format!("http://{gone}/")),
        table("six", &format!("http://127.0.0.1:{}/", six.local_addr().unwrap().port())),
        table("tls-on-plain", &plain),
        table("plain-on-tls", &secure.url().replace("https://", "http://")),
        table("trusted", &secure.url()),
        table("expired", &expired.url()),
        table("own", &own.url()),
        table("silent", &format!("https://{}/", silent.local_addr().unwrap())),
        table("docker", "http://host.docker.internal:3000/"),
    ];
    let mut relay = Relay::prepare(&tables.concat());
    let authorities = relay.path("authorities");
    fs::create_dir(&authorities).unwrap();
    secure.write_authority(&authorities.join("company.pem"));
    expired.write_authority(&authorities.join("other.pem"));
    let both: String =
        ["company.pem", "other.pem"].map(|name| fs::read_to_string(authorities.join(name)).unwrap()).concat();
    fs::write(authorities.join("both.pem"), both).unwrap();
    relay.set_env("SSL_CERT_FILE", authorities.join("both.pem").to_str().unwrap());
    let run = relay.cli(&["doctor", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let callback = |state: &str, cause: &[&str], fix: &str| found(&run, "callbacks", state, cause, fix);
    callback("ok", &["`well`", "takes connections"], "");
    callback("ok", &["`trusted`"], "");
    callback("problem", &["`nobody`", "nothing listens on", &gone.to_string()], "start it");
    let port = six.local_addr().unwrap().port().to_string();
    callback("problem", &["`six`", "nothing listens on 127.0.0.1", &port], "write `localhost`");
    callback("problem", &["`tls-on-plain`", "speak TLS"], "`http://`");
    callback("problem", &["`plain-on-tls`", "speaks TLS"], "write `https://`");
    callback("problem", &["`expired`", "certificate has expired"], "renew it");
    callback("problem", &["`own`", "signed its certificate"], "SSL_CERT_FILE");
    callback("problem", &["`silent`", "took the connection", "TLS handshake within 3s"], "hang");
    callback("problem", &["`docker`", "failed to look up"], "");
    assert!(!run.stdout.contains("sesame"), "no secret: {run:?}");
}

#[test]
fn the_machine_around_is_told_with_cause_and_way_out() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap();
    let mut relay = Relay::prepare("");
    fs::write(relay.path("secret"), "sesame-and-more").unwrap();
    fs::set_permissions(relay.path("secret"), Permissions::from_mode(0o644)).unwrap();
    let tables =
        table("a", &format!("http://{port}/")).replace("\"sesame-and-more\"", "{ file = \"secret\" }");
    relay.save_whole(&format!("[listen]\ntcp = \"{port}\"\n{tables}"));
    relay.set_env("HTTP_PROXY", "http://user:sesame@proxy.example:8080");
    relay.use_wrong_clock();
    relay.set_clock(-60 * 365 * 24 * 3600);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 512; exec \"$@\"", "sh"]);
    let command = relay.command(&["doctor", "--json"]);
    limited.arg(command.get_program()).args(command.get_args()).current_dir(relay.path(".")).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = output(limited, "");
    assert_eq!(run.code, 1, "{run:?}");
    found(
        &run,
        "port",
        "problem",
        &[&port.to_string(), &format!("process {}", std::process::id())],
        "[listen] tcp",
    );
    found(&run, "permissions", "warning", &["others can read", "/secret`"], "chmod 600");
    found(&run, "proxies", "warning", &["HTTP_PROXY is set"], "NO_PROXY=");
    found(&run, "descriptors", "warning", &["512 files"], "ulimit -Hn");
    found(&run, "clock", "problem", &["it shows 19"], "timedatectl");
    assert!(!run.stdout.contains("sesame") && !run.stderr.contains("sesame"), "no secret: {run:?}");
}

#[test]
fn where_all_is_well_the_exit_code_says_so() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&receiver.table("well"));
    let run = relay.cli(&["doctor", "--json"]);
    assert_eq!((run.code, &run.json()["ok"]), (0, &Value::Bool(true)), "{run:?}");
    assert!(receiver.events().is_empty(), "the doctor sends nothing");
    let folder = relay.path("runtime/trackrelay");
    fs::set_permissions(&folder, Permissions::from_mode(0o750)).unwrap();
    let run = relay.cli(&["doctor", "--json"]);
    found(&run, "permissions", "warning", &["others can look into", "runtime/trackrelay`"], "chmod 700");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    relay.kill9();
    let run = relay.cli(&["doctor", "--json"]);
    found(&run, "daemon", "warning", &["has ended without saying so"], "trackrelay run");
}

/// The other five of the ten in `docs/seeing.md`.
#[test]
fn what_is_not_for_the_doctor_is_told_by_another_command() {
    let receiver = Receiver::start();
    receiver.answer(
        |request, _| if request.path == "/well" { Answer::proper(request) } else { Answer::status(500) },
    );
    let tables = [
        receiver.table_for("other", r#"["project.*"]"#),
        receiver.table("pending") + "retry = [\"1h\"]\n",
        receiver.table("disabled") + "retry = [\"1ms\", \"1ms\"]\n",
        receiver.table("well"),
    ];
    let relay = Relay::start(&tables.concat());
    relay.send(&event("tag.created", 7));
    relay.wait_for_status("pending", "pending");
    relay.wait_for_status("disabled", "disabled");
    let body = receiver.wait_for_at("well", 1).pop().unwrap();
    let signature = body.header("x-webhook-signature-256").unwrap();
    fs::write(relay.path("body"), [&body.body[..], b"\n"].concat()).unwrap();
    relay.save("[subscription.a]\nevnt_filters = []\n");
    let body = relay.path("body");
    let verify = ["verify", body.to_str().unwrap(), "--secret", SECRET, "--signature", signature];
    for (words, cause) in [
        (&["why", "7", "other"][..], &["project.*", "do not match tag.created", "config.toml:"][..]),
        (&["why", "7", "disabled"], &["answered 500", "this disabled the subscription"]),
        (&["status"], &["500", "next try in"]),
        (&verify, &["line break"]),
        (&["check"], &["config.toml:", "did you mean `event_filters`?"]),
    ] {
        let run = relay.cli(words);
        let said = run.stdout.clone() + &run.stderr;
        assert!(cause.iter().all(|cause| said.contains(cause)), "{words:?} {cause:?}: {run:?}");
    }
}
