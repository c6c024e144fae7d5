//! Files: what is read, what is watched, what a broken one does to the others.

use std::os::unix::fs::symlink;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::edit;

/// A folder with these files, closed to others.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn loaded(folder: &TempDir) -> Loaded {
    load(&folder.path().join("config.toml"), &|name| (name == "HOME").then(|| "/home/ana".to_owned()))
}

/// Every problem and warning in one line each: place and message.
fn said(folder: &TempDir, loaded: &Loaded) -> Vec<String> {
    let root = folder.path().display().to_string();
    let problems = loaded.result.as_ref().err().into_iter().flatten();
    let line = |problem: &Problem| {
        format!("{}: {}", problem.place, problem.message).replace(&format!("{root}/"), "")
    };
    loaded
        .warnings
        .iter()
        .map(|warning| format!("warning: {}", line(warning)))
        .chain(problems.map(line))
        .collect()
}

const GOOD: &str = "[subscription.good]\nurl_callback = \"http://h/\"\nevent_filters = [\"*.*\"]\n";

#[test]
fn a_broken_file_hides_no_problem_of_another_and_causes_none() {
    let folder = folder(&[
        ("config.toml", "include = [\"s/*.toml\"]\n[listen]\ntcp = 1\n"),
        ("s/a.toml", "[plugin.p]\npath = \"p.wasm\"\n[user.ana\nid = 1\nnonsense = 1\n"),
        (
            "s/b.toml",
            "[subscription.b]\nurl_callback = \"x\"\nevent_filters = [\"*.*\"]\nuser = \"ana\"\nfilter = [{ plugin = \"p\" }, { plugin = \"q\" }]\n",
        ),
        ("s/.#c.toml", "not read"),
        ("s/d.txt", "not read"),
    ]);
    let loaded = loaded(&folder);
    assert_eq!(
        said(&folder, &loaded),
        [
            "config.toml:3:7: `listen.tcp`: expected text, found a number",
            "s/a.toml:3:10: unclosed table, expected `]`",
            "s/b.toml:2:16: `url_callback` has no scheme",
        ]
    );
    // The plugin that the broken file names is watched all the same.
    assert!(loaded.files.contains(&folder.path().join("s/p.wasm")), "{:?}", loaded.files);
    assert_eq!(loaded.folders, [folder.path().join("s")]);
}

#[test]
fn a_broken_main_file_still_says_what_to_watch() {
    let folder = folder(&[
        ("config.toml", "include = [\"s/*.toml\"]\n[listen]\ntcp = \n"),
        (
            "s/a.toml",
            "[subscription.a]\nurl_callback = \"x\"\nevent_filters = [\"*.*\"]\nsecret = { file = \"key\" }\n",
        ),
    ]);
    let loaded = loaded(&folder);
    assert_eq!(
        said(&folder, &loaded),
        [
            "config.toml:3:7: string values must be quoted, expected literal string",
            "s/a.toml:2:16: `url_callback` has no scheme",
            "s/a.toml:4:19: `subscription.a.secret`: `s/key` does not exist",
        ]
    );
    assert_eq!(loaded.files, ["config.toml", "s/a.toml", "s/key"].map(|file| folder.path().join(file)));
}

#[test]
fn places_take_no_detours() {
    let folder = folder(&[
        ("config.toml", "include = [\"s/../t/*.toml\", \"t/../gone.toml\"]\nx = 1\n"),
        ("t/a.toml", "y = 1\n"),
        ("s/file", ""),
    ]);
    let loaded = load(&folder.path().join("s/../config.toml"), &|_| Some("/home/ana".to_owned()));
    assert_eq!(
        said(&folder, &loaded),
        [
            "config.toml:1:29: `include`: `gone.toml` does not exist",
            "config.toml:2:1: unknown key `x`",
            "t/a.toml:1:1: unknown key `y`",
        ]
    );
    assert_eq!(loaded.folders, [folder.path().join("t")]);
}

#[test]
fn names_are_unique_over_all_files() {
    let folder =
        folder(&[("config.toml", &format!("include = [\"*.toml\", \"a*.toml\"]\n{GOOD}")), ("a.toml", GOOD)]);
    let loaded = loaded(&folder);
    assert_eq!(said(&folder, &loaded), ["a.toml:1:15: subscription `good` exists already"]);
    let hint = loaded.result.unwrap_err()[0].hint.clone().unwrap();
    assert!(hint.ends_with("config.toml`, line 2; names are unique over all files"), "{hint}");
}

#[test]
fn includes_that_cannot_be_read_are_problems_where_they_are_named() {
    let folder = folder(&[
        (
            "config.toml",
            "include = [\"none/*.toml\", \"gone.toml\", \"*/a.toml\", \"inner.toml\", \"dir\"]\n",
        ),
        ("inner.toml", "include = [\"more.toml\"]\n[listen]\ntcp = \"x\"\n"),
        ("dir/file", ""),
    ]);
    assert_eq!(
        said(&folder, &loaded(&folder)),
        [
            "config.toml:1:27: `include`: `gone.toml` does not exist",
            "config.toml:1:40: `include`: `*/a.toml` has a `*` outside of the file name",
            "config.toml:1:66: `include`: `dir` is not a file",
            "inner.toml:1:1: `include` belongs in the main file",
            "inner.toml:2:2: `listen` belongs in the main file",
        ]
    );
}

#[test]
fn a_main_file_that_cannot_be_read_is_one_problem() {
    let folder = folder(&[]);
    let missing = loaded(&folder);
    assert_eq!(said(&folder, &missing), ["config.toml: the config `config.toml` does not exist"]);
    assert_eq!(missing.files, [folder.path().join("config.toml")]);
    let json = serde_json::to_value(missing.problems()).unwrap();
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(serde_json::from_value::<Vec<Problem>>(json).unwrap(), missing.problems());
    let rendered = missing
        .rendered(&Renderer::new(folder.path().to_owned(), false))
        .replace(&folder.path().display().to_string(), "…");
    assert_eq!(
        rendered,
        "error: the config `…/config.toml` does not exist\n--> config.toml\n = help: `trackrelay init` writes one, `--config FILE` names another"
    );
    // Nobody writes to the pipe: opening it would wait for ever.
    assert!(Command::new("mkfifo").arg(folder.path().join("config.toml")).status().unwrap().success());
    assert_eq!(said(&folder, &loaded(&folder)), ["config.toml: the config `config.toml` is not a file"]);
}

#[test]
fn a_default_that_does_not_work_stands_in_no_line() {
    let folder = folder(&[("config.toml", GOOD)]);
    let main = folder.path().join("config.toml");
    let homeless = || load(&main, &|_| None);
    let message = "`store.path` is \"auto\", but neither XDG_STATE_HOME nor HOME is set";
    assert_eq!(said(&folder, &homeless()), [format!("config.toml: {message}")]);
    let rendered = homeless().rendered(&Renderer::new(folder.path().to_owned(), false));
    assert_eq!(
        rendered,
        format!("error: {message}\n--> config.toml\n = help: set a folder as `path` in `[store]`")
    );
    fs::write(&main, "[store]\npath = \"auto\"\n").unwrap();
    assert_eq!(said(&folder, &homeless()), [format!("config.toml:2:8: {message}")]);
}

#[test]
fn files_have_a_size_and_an_encoding() {
    let folder = folder(&[("config.toml", "include = [\"large.toml\", \"latin1.toml\"]")]);
    fs::write(folder.path().join("large.toml"), vec![b'#'; LARGEST_FILE as usize + 1]).unwrap();
    fs::write(folder.path().join("latin1.toml"), b"# \xfc\n").unwrap();
    assert_eq!(
        said(&folder, &loaded(&folder)),
        [
            "config.toml:1:12: `include`: `large.toml` is larger than 4194304 bytes",
            "latin1.toml:1:3: this is not UTF-8"
        ]
    );
}

#[test]
fn secrets_that_others_can_read_are_worth_a_warning() {
    let folder = folder(&[("config.toml", &format!("{GOOD}secret = \"hunter2\"\n"))]);
    assert_eq!(said(&folder, &loaded(&folder)), [""; 0]);
    let main = folder.path().join("config.toml");
    fs::set_permissions(&main, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = loaded(&folder);
    assert!(exposed.result.is_ok());
    assert_eq!(
        said(&folder, &exposed),
        ["warning: config.toml:4:10: others can read the secrets in `config.toml`"]
    );
    fs::write(&main, format!("{GOOD}secret = {{ env = \"HOME\" }}\n")).unwrap();
    assert_eq!(said(&folder, &loaded(&folder)), [""; 0], "what is not in the file cannot be read there");
}

#[test]
fn links_are_watched_on_both_ends() {
    let folder = folder(&[("real/config.toml", GOOD)]);
    symlink("real/config.toml", folder.path().join("config.toml")).unwrap();
    let loaded = loaded(&folder);
    let real = fs::canonicalize(folder.path()).unwrap().join("real/config.toml");
    assert_eq!(loaded.files, [folder.path().join("config.toml"), real.clone()]);
    assert_eq!(loaded.result.unwrap().path, real);
}

#[test]
fn an_open_bracket_is_not_an_error_of_every_line() {
    let lines: String = (0..100).map(|n| format!("key{n} = 1\n")).collect();
    let folder = folder(&[("config.toml", &format!("include = [\"gone.toml\"\n{lines}"))]);
    let problems = loaded(&folder).result.unwrap_err();
    assert_eq!(problems.len(), MOST_SYNTAX_ERRORS);
    let hint = problems[4].hint.as_deref().unwrap();
    assert!(hint.ends_with("more syntax errors follow, most likely from these"), "{hint}");
}

#[test]
fn nobody_reads_a_thousand_problems() {
    let lines: String = (0..1000).map(|n| format!("key{n} = 1\n")).collect();
    let folder = folder(&[("config.toml", &lines)]);
    let problems = loaded(&folder).result.unwrap_err();
    assert_eq!(problems.len(), MOST_PROBLEMS);
    let hint = problems.last().unwrap().hint.as_deref().unwrap();
    assert!(
        hint.starts_with("known keys: ") && hint.ends_with("; 800 more problems are not shown"),
        "{hint}"
    );
}

#[test]
fn tables_are_counted() {
    let users: String = (1..=1001).map(|n| format!("[user.u{n}]\nid = {n}\nrole = \"admin\"\n")).collect();
    let folder = folder(&[("config.toml", &users)]);
    assert_eq!(said(&folder, &loaded(&folder)), ["config.toml:3001:7: there are more than 1000 users"]);
}

#[test]
fn edits_are_told_what_was_loaded() {
    let folder = folder(&[("config.toml", GOOD)]);
    let main = folder.path().join("config.toml");
    let loaded = loaded(&folder);
    assert_eq!(loaded.hashes()[&main], edit::hash(GOOD.as_bytes()));
    let place = &loaded.result.as_ref().unwrap().subscriptions[0].place;
    let fields = vec![edit::Field::new("enabled", false)];
    let change = edit::Edit::Change { name: "good".to_owned(), rename: None, fields };
    let draft = edit::draft(&place.file, &change, &loaded.hashes()[&main]).unwrap();
    let as_if = load_as_if(&main, &|_| None, &[(draft.file.clone(), draft.text.clone())].into());
    assert!(draft.save().unwrap());
    assert_eq!(as_if.hashes(), load(&main, &|_| None).hashes());
    assert!(!self::loaded(&folder).result.unwrap().subscriptions[0].enabled);
}

/// A config of every kind of table, to be mutilated.
const WHOLE: &str = r#"include = ["s/*.toml"]
[listen]
tcp = "127.0.0.1:0"
hosts = ["relay.test"]
[defaults]
retry = ["1m", "5m"]
headers = { x-env = "dev" }
[user.ana]
id = 1
role = "admin"
api_token = "hunter2-token"
[plugin.p]
path = "p.wasm"
limits = { time = "50ms", memory = "32MiB" }
[subscription."a b"]
url_callback = "http://127.0.0.1:3000/ü"
event_filters = ["tag.*", { entity = "*", action = "deleted" }]
secret = 'hunter2-secret'
filter = [{ plugin = "p", config = { a = [1, 2.5, { b = 2026-01-02 }] } }]
"#;

fn words() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "[",
        "]",
        "[[",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "{",
        "}",
        ",",
        ".",
        "\n",
        "#",
        "*",
        "ü",
        "\u{feff}",
        "\r",
        "-1",
        "nan",
        "[subscription.x]\n",
        "defaults.",
        "9999999999999999999",
    ];
    prop_oneof![proptest::sample::select(KNOWN).prop_map(str::to_owned), ".{0,3}"]
}

/// Lines that hold secrets stay whole, so that one that shows was not made by the mutation.
fn mutated(changes: Vec<(usize, usize, String)>) -> String {
    let mut lines: Vec<String> = WHOLE.lines().map(str::to_owned).collect();
    for (line, column, word) in changes {
        let line = line % lines.len();
        let text = &mut lines[line];
        if text.contains("hunter2") {
            continue;
        }
        let at = text.floor_char_boundary(column % (text.len() + 1));
        match word.as_str() {
            "" => text.truncate(at),
            word => text.insert_str(at, word),
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_saved_is_loaded_or_refused_at_existing_places(
        changes in prop::collection::vec((0usize..100, 0usize..100, words()), 1..6),
    ) {
        let text = mutated(changes);
        let folder = folder(&[("config.toml", &text), ("p.wasm", "")]);
        let loaded = loaded(&folder);
        let lines = text.split('\n').count();
        for problem in loaded.result.as_ref().err().into_iter().flatten() {
            prop_assert!((1..=lines).contains(&problem.place.line), "{problem:?}\n{text}");
            prop_assert!(problem.place.column >= 1);
        }
        let rendered = loaded.rendered(&Renderer::new(folder.path().to_owned(), true));
        prop_assert!(!rendered.contains("hunter2"), "{rendered}");
        prop_assert_eq!(rendered.is_empty(), loaded.result.is_ok() && loaded.warnings.is_empty());
    }

    #[test]
    fn noise_is_no_config_but_no_panic_either(text in "(.|\n){0,200}") {
        let folder = folder(&[("config.toml", &text)]);
        let loaded = loaded(&folder);
        let rendered = loaded.rendered(&Renderer::new(folder.path().to_owned(), false));
        prop_assert_eq!(rendered.is_empty(), loaded.result.is_ok());
    }
}
