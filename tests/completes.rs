//! Completions: real shells read the printed lines and complete names of a running daemon,
//! and without one those of the config; the manual has a page for every command.

use std::path::Path;
use std::process::Command;

use crate::harness::relay::output;
use crate::harness::{Receiver, Relay, event};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trackrelay");

/// How each shell is told what was typed and says what it would offer. Nobody else's set-up
/// is read. Zsh completes only for a terminal, which it makes itself.
const SHELLS: [(&str, &[&str], &str); 3] = [
    (
        "bash",
        &["--norc", "--noprofile", "-c"],
        r#"source <("$PROGRAM" completions bash)
        COMP_WORDS=(trackrelay $LINE) COMP_CWORD=$((${#COMP_WORDS[@]})) COMP_TYPE=9
        COMP_WORDS+=("$TYPED")
        _clap_complete_trackrelay trackrelay "${TYPED#[\"\']}"
        printf '%s\n' "${COMPREPLY[@]}""#,
    ),
    (
        "zsh",
        &["-f", "-c"],
        r#"zmodload zsh/zpty; zpty asked zsh -f -i
        zpty -w asked "PS1=; autoload -U compinit; compinit -u -D; source <($PROGRAM completions zsh); print rea''dy"
        zpty -r asked said '*ready*'
        zpty -w -n asked "trackrelay $LINE $TYPED"$'\t'
        zpty -r asked said "*$UNTIL*"; print -r -- $said"#,
    ),
    (
        "fish",
        &["--no-config", "-c"],
        r#"set -x PATH (dirname $PROGRAM) $PATH
        $PROGRAM completions fish | source
        complete --do-complete "trackrelay $LINE $TYPED""#,
    ),
];

/// What a shell offers after `line`, when `typed` is typed of the next word.
fn offered(relay: &Relay, shell: usize, line: &str, typed: &str, until: &str) -> String {
    let (shell, flags, script) = SHELLS[shell];
    let mut command = Command::new(shell);
    // The folder and environment of a command of this relay, config and all.
    let alike = relay.bare_command(&[]);
    command.current_dir(relay.path(".")).env_clear();
    command.envs(alike.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(flags).arg(script).env("PROGRAM", PROGRAM);
    command.env("LINE", line).env("TYPED", typed).env("UNTIL", until).env("TERM", "dumb");
    let answer = output(command, "");
    answer.stdout + &answer.stderr
}

/// Whether this machine has the shell. Where everything must hold, it must.
fn has(shell: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(shell).is_file());
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "`{shell}` is not installed");
    if !found {
        eprintln!("skipped: `{shell}` is not installed");
    }
    found
}

#[test]
fn real_shells_complete_live_names() {
    let receiver = Receiver::start();
    let mut relay = Relay::start(&(receiver.table("slack-billable") + &receiver.table("other")));
    relay.send(&event("tag.created", 4_000_000_000_000_000_017));
    for (shell, (name, ..)) in SHELLS.iter().enumerate().filter(|(_, (name, ..))| has(name)) {
        for (line, typed, wanted) in [
            ("enable", "sla", "slack-billable"),
            ("secret show", "sla", "slack-billable"),
            ("why --not", "sla", "slack-billable"),
            ("plugin", "insp", "inspect"),
            ("tail --subscription", "sla", "slack-billable"),
            ("events --outcome", "skipped_f", "skipped_filter"),
            ("why", "40000", "4000000000000000017"),
            ("replay", "40000", "4000000000000000017"),
            ("record folder", "40000", "4000000000000000017"),
            ("replay --missed", "sla", "slack-billable"),
            ("send", "time_entry.cr", "time_entry.created"),
            ("", "compl", "completions"),
        ] {
            let said = offered(&relay, shell, line, typed, wanted);
            assert!(said.contains(wanted), "{name}: `{line} {typed}`: {said}");
            assert!(!said.contains("other"), "{name}: `{line} {typed}`: {said}");
        }
    }
    // Without a daemon, from the file as it is now.
    relay.stop();
    relay.save(&receiver.table("brand-new"));
    for (shell, (name, ..)) in SHELLS.iter().enumerate().filter(|(_, (name, ..))| has(name)) {
        let said = offered(&relay, shell, "enable", "bra", "brand-new");
        assert!(said.contains("brand-new"), "{name}: {said}");
    }
}

#[test]
fn a_name_is_never_run_by_the_shell() {
    let receiver = Receiver::start();
    let table = receiver.table("x").replace("[subscription.x]", "[subscription.\"evil $(touch run) it's\"]");
    let relay = Relay::prepare(&table);
    for (typed, wanted) in [
        ("ev", r"'evil $(touch run) it'\''s'"),
        ("'ev", r"'evil $(touch run) it'\''s'"),
        ("\"ev", r#""evil \$(touch run) it's""#),
    ] {
        assert_eq!(offered(&relay, 0, "enable", typed, "").trim_end(), wanted, "{typed}");
    }
    assert!(!relay.path("run").exists());
}

#[test]
fn all_five_scripts_and_all_pages_are_printed() {
    let relay = Relay::prepare("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = relay.cli(&["completions", shell]);
        assert!(script.code == 0 && script.stdout.contains("TRACKRELAY_COMPLETE"), "{shell}: {script:?}");
        assert!(script.stdout.contains(PROGRAM), "{shell} calls the program that printed it: {script:?}");
    }
    let page = relay.cli(&["man", "secret", "rotate"]);
    assert!(page.stdout.contains(".TH trackrelay-secret-rotate 1"), "{page:?}");
    let wrong = relay.cli(&["man", "secret", "rotat"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean `rotate`?"), "{wrong:?}");
    let folder = relay.path("man");
    let written = relay.cli(&["man", "--dir", folder.to_str().unwrap()]);
    assert_eq!(written.code, 0, "{written:?}");
    let read = |name: &str| std::fs::read_to_string(Path::new(&folder).join(name)).unwrap();
    for (name, wanted) in [
        ("trackrelay.1", "init"),
        ("trackrelay-send.1", "gen2023"),
        ("trackrelay-secret-show.1", "whsec_"),
        ("trackrelay-plugin-new.1", "long"),
    ] {
        let page = read(name);
        assert!(page.contains(wanted) && page.contains("Examples:"), "{name}: {page}");
    }
}
