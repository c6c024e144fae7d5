//! What each edit makes of each form in which a table can be written, byte for byte.

use super::*;

fn apply(text: &str, edit: &Edit) -> String {
    sound(text).unwrap();
    let edited = edit.applied(text).unwrap();
    sound(&edited).unwrap_or_else(|error| panic!("{error}:\n{edited}"));
    edited
}

fn change(name: &str, fields: Vec<Field>) -> Edit {
    Edit::Change { name: name.to_owned(), rename: None, fields }
}

fn rename(name: &str, new: &str) -> Edit {
    Edit::Change { name: name.to_owned(), rename: Some(new.to_owned()), fields: Vec::new() }
}

fn remove(name: &str) -> Edit {
    Edit::Remove { name: name.to_owned() }
}

fn filters(filters: &[&str]) -> Field {
    Field::new("event_filters", filters.to_vec())
}

fn path(parts: &[&str], value: &str) -> Field {
    Field { key: parts.iter().map(|part| (*part).to_owned()).collect(), value: Some(value.into()) }
}

fn new_table(name: &str) -> Edit {
    let fields =
        vec![Field::new("url_callback", "http://127.0.0.1:3000/n"), filters(&["tag.*", "project.*"])];
    Edit::Add { name: name.to_owned(), fields }
}

/// Every line of a text that another one has not, and the other way round.
fn difference(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(old), lines(new));
    let missing = |from: &[String], other: &[String]| {
        from.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
    };
    (missing(&old, &new), missing(&new, &old))
}

const TABLE: &str =
    "url_callback = \"http://127.0.0.1:3000/n\"\nevent_filters = [\"tag.*\", \"project.*\"]\n";

#[test]
fn a_new_table_goes_to_the_end_after_an_empty_line() {
    let crlf = format!("[subscription.new]\n{TABLE}").replace('\n', "\r\n");
    for (before, name, expected) in [
        ("", "new", format!("[subscription.new]\n{TABLE}")),
        ("a = 1", "new", format!("a = 1\n\n[subscription.new]\n{TABLE}")),
        ("a = 1\n", "b c", format!("a = 1\n\n[subscription.\"b c\"]\n{TABLE}")),
        ("a = 1\n\n", "a.b", format!("a = 1\n\n[subscription.\"a.b\"]\n{TABLE}")),
        ("# only this", "ü", format!("# only this\n\n[subscription.\"ü\"]\n{TABLE}")),
        ("a = 1\r\n", "new", format!("a = 1\r\n\r\n{crlf}")),
        ("a = 1\r\nb = 2", "new", format!("a = 1\r\nb = 2\r\n\r\n{crlf}")),
        (
            "[subscription]\na.x = 1\n",
            "new",
            format!("[subscription]\na.x = 1\n\n[subscription.new]\n{TABLE}"),
        ),
        ("subscription.a.x = 1\n", "new", format!("subscription.a.x = 1\n\n[subscription.new]\n{TABLE}")),
        (
            "subscription = { a = { x = 1 } } # all\n",
            "new",
            "subscription = { a = { x = 1 }, new = { url_callback = \"http://127.0.0.1:3000/n\", \
             event_filters = [\"tag.*\", \"project.*\"] } } # all\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(apply(before, &new_table(name)), expected, "{before:?}");
    }
}

#[test]
fn what_was_added_can_be_taken_away_again() {
    for before in ["a = 1\n", "a = 1\r\n", "# c\n\n[x]\n# end\n", COMMENTED] {
        let before = format!("{}\n", before.trim_end_matches('\n'));
        let added = apply(&before, &new_table("n.n"));
        assert!(added.starts_with(&before) && added.len() > before.len());
        assert_eq!(apply(&added, &remove("n.n")), before, "{before:?}");
    }
}

#[test]
fn a_name_is_taken_once() {
    for (text, name) in [(COMMENTED, "a"), (COMMENTED, "b c"), (COMMENTED, "d"), (COMMENTED, "e")] {
        assert_eq!(new_table(name).applied(text), Err(Wrong::Exists(name.to_owned())));
    }
    assert_eq!(rename("a", "e").applied(COMMENTED), Err(Wrong::Exists("e".to_owned())));
    assert_eq!(remove("z").applied(COMMENTED), Err(Wrong::NoTable("z".to_owned())));
}

#[test]
fn a_table_goes_with_what_belongs_to_it_and_nothing_else() {
    let a = COMMENTED.find("\t# Indented").unwrap()..COMMENTED.find("[subscription.\"b c\"]").unwrap();
    assert_eq!(apply(COMMENTED, &remove("a")), COMMENTED.replace(&COMMENTED[a], ""));
    let bc = COMMENTED.find("[subscription.\"b c\"]").unwrap()..COMMENTED.find("[plugin]").unwrap();
    assert_eq!(apply(COMMENTED, &remove("b c")), COMMENTED.replace(&COMMENTED[bc], ""));
    let (gone, new) = difference(COMMENTED, &apply(COMMENTED, &remove("d")));
    assert!(gone.len() == 1 && gone[0].starts_with("\"d\" = {") && new.is_empty(), "{gone:?} {new:?}");
    let (gone, new) = difference(COMMENTED, &apply(COMMENTED, &remove("e")));
    let e = ["e.url_callback = \"http://127.0.0.1:3000/e\"\n", "e.event_filters = [\"*.*\"]\n"];
    // What stands below the last key without an empty line is not about the entries.
    assert_eq!((gone, new), (e.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn comments_go_with_the_table_they_stand_at() {
    for (text, left) in [
        ("#:schema x\n[subscription.a]\nx = 1\n", "#:schema x\n"),
        ("\u{feff}[subscription.a]\nx = 1\n\n[b]\n", "\u{feff}[b]\n"),
        (
            "# file\n\n# a\n# more\n[subscription.a]\nx = 1\n# y = 2\n\n# apart\n\n[b]\n",
            "# file\n\n# apart\n\n[b]\n",
        ),
        ("[b]\n# a\n[subscription.a]\nx = 1\n# b\n[c]\n", "[b]\n# b\n[c]\n"),
        (
            "# [subscription.kept]\n# x = 1\n[subscription.a]\nx = 1\n#[plugin.kept]\n# x = 1\n",
            "# [subscription.kept]\n# x = 1\n#[plugin.kept]\n# x = 1\n",
        ),
        ("[b]\n\n[subscription.a]\nx = 1\n[c]\n", "[b]\n\n[c]\n"),
        ("[b]\r\n\r\n[subscription.a]\r\nx = 1\r\n\r\n[c]\r\n", "[b]\r\n\r\n[c]\r\n"),
        ("[subscription.a]\nx = 1\n\n[b]\n\n[subscription.a.headers]\ny = 1", "[b]\n"),
        ("[subscription.a]\n\n[subscription.a.headers]\ny = 1\n\n[b]\n", "[b]\n"),
        (
            "[subscription]\n# of a\na.x = 1\na.y = [\n1]\n\n# of b\nb.x = 1\n",
            "[subscription]\n\n# of b\nb.x = 1\n",
        ),
        ("subscription.b.x = 1\nsubscription.a.x = 1\n", "subscription.b.x = 1\n"),
        ("subscription = { b = {}, a = { x = 1 } }", "subscription = { b = {} }"),
        ("subscription = { a = { x = 1 }, b = {} }", "subscription = { b = {} }"),
        ("subscription = { a.x = 1, b.x = 1, a.y = 2 }", "subscription = { b.x = 1 }"),
        ("[subscription]\n'a' = { x = 1 }\n\"a b\".x = 2\n", "[subscription]\n\"a b\".x = 2\n"),
    ] {
        assert_eq!(apply(text, &remove("a")), left, "{text:?}");
    }
}

#[test]
fn a_rename_finds_the_name_wherever_it_stands() {
    for (text, renamed) in [
        (
            "[subscription.a] # a\na = 1\n[subscription . a . headers]\n",
            "[subscription.\"n.n\"] # a\na = 1\n[subscription . \"n.n\" . headers]\n",
        ),
        (
            "[subscription]\na.x = 'a'\n\"a\".y = 2\nb.a = 3\n",
            "[subscription]\n\"n.n\".x = 'a'\n\"n.n\".y = 2\nb.a = 3\n",
        ),
        ("subscription.a.x = 1\n[a]\na = 1\n", "subscription.\"n.n\".x = 1\n[a]\na = 1\n"),
        (
            "subscription = { b = { a = 1 }, a = { a = 1 } }",
            "subscription = { b = { a = 1 }, \"n.n\" = { a = 1 } }",
        ),
        ("['subscription'.\"\\u0061\"]\nx = 1", "['subscription'.\"n.n\"]\nx = 1"),
    ] {
        assert_eq!(apply(text, &rename("a", "n.n")), renamed, "{text:?}");
        assert_eq!(toml(&apply(renamed, &rename("n.n", "a"))), toml(text), "and back again");
    }
}

fn toml(text: &str) -> toml::Table {
    toml::from_str(text).unwrap()
}

#[test]
fn keys_are_set_where_they_stand_or_below_the_others() {
    let timeout = || Field::new("timeout", "5s");
    let header = || path(&["headers", "x-b"], "2");
    for (text, field, expected) in [
        (
            "[subscription.a]\nx = 1\n\ttimeout   = '1s' # c\n",
            timeout(),
            "[subscription.a]\nx = 1\n\ttimeout   = \"5s\" # c\n",
        ),
        ("[subscription.a]\n[b]\n", timeout(), "[subscription.a]\ntimeout = \"5s\"\n[b]\n"),
        ("[subscription]\na = {}\n", timeout(), "[subscription]\na = { timeout = \"5s\" }\n"),
        ("[subscription]\na = { x = 1 }\n", timeout(), "[subscription]\na = { x = 1, timeout = \"5s\" }\n"),
        (
            "[subscription.a]\nx = 1\n[subscription.a.headers]\ny = 1\n",
            timeout(),
            "[subscription.a]\nx = 1\ntimeout = \"5s\"\n[subscription.a.headers]\ny = 1\n",
        ),
        (
            "[subscription.a]\nx = 1\n[subscription.a.headers]\ny = 1\n",
            header(),
            "[subscription.a]\nx = 1\n[subscription.a.headers]\ny = 1\nx-b = \"2\"\n",
        ),
        (
            "[subscription.a]\nheaders.y = 1\nx = 1\n",
            header(),
            "[subscription.a]\nheaders.y = 1\nheaders.x-b = \"2\"\nx = 1\n",
        ),
        (
            "[subscription.a]\nheaders = { y = 1 }\n",
            header(),
            "[subscription.a]\nheaders = { y = 1, x-b = \"2\" }\n",
        ),
        ("[subscription.a]\nx = 1\n", header(), "[subscription.a]\nx = 1\nheaders.x-b = \"2\"\n"),
        (
            "[subscription]\na.x = 1\nb.x = 1",
            timeout(),
            "[subscription]\na.x = 1\na.timeout = \"5s\"\nb.x = 1",
        ),
        (
            "subscription.a.x = 1\r\n",
            timeout(),
            "subscription.a.x = 1\r\nsubscription.a.timeout = \"5s\"\r\n",
        ),
        (
            "subscription = { a.x = 1, b.x = 1 }",
            timeout(),
            "subscription = { a.x = 1, a.timeout = \"5s\", b.x = 1 }",
        ),
        (
            "[subscription.a]\nsecret.env = \"X\"\ny = 1\n",
            Field::new("secret", "s"),
            "[subscription.a]\ny = 1\nsecret = \"s\"\n",
        ),
        (
            "[subscription.a]\nx = 1\n\n[subscription.a.secret]\nenv = \"X\"\n",
            Field::new("secret", "s"),
            "[subscription.a]\nx = 1\nsecret = \"s\"\n",
        ),
        (
            "[subscription.a]\n# why\ntimeout = \"1s\" # c\nx = 1\n",
            Field::without("timeout"),
            "[subscription.a]\n# why\nx = 1\n",
        ),
        (
            "[subscription]\na = { x = 1, timeout = \"1s\" }\n",
            Field::without("timeout"),
            "[subscription]\na = { x = 1 }\n",
        ),
        ("[subscription.a]\nx = 1\n", Field::without("timeout"), "[subscription.a]\nx = 1\n"),
        ("[subscription.a]\ntimeout = '5s'\n", timeout(), "[subscription.a]\ntimeout = '5s'\n"),
        (
            "[subscription.a]\nx = 1\n",
            Field::new("url_callback", "a\n\"b\"\\"),
            "[subscription.a]\nx = 1\nurl_callback = \"a\\n\\\"b\\\"\\\\\"\n",
        ),
    ] {
        assert_eq!(apply(text, &change("a", vec![field])), expected, "{text:?}");
    }
}

#[test]
fn event_filters_that_stay_keep_their_place_and_comments() {
    let table = |list: &str| format!("[subscription.a]\nevent_filters = {list}\n");
    for (list, wanted, expected) in [
        (r#"["a.*", "b.*"]"#, &["b.*", "a.*"][..], r#"["a.*", "b.*"]"#),
        (r#"["a.*", "b.*"]"#, &["a.*", "c.*"], r#"["a.*", "c.*"]"#),
        (r#"["a.*", "b.*",]"#, &["a.*"], r#"["a.*",]"#),
        (r#"["a.*","b.*"]"#, &["b.*"], r#"["b.*"]"#),
        (r#"[ "a.*" ]"#, &["c.*"], r#"[ "c.*" ]"#),
        (
            r#"[{ entity = "a", action = "*" }]"#,
            &["a.*", "b.*"],
            r#"[{ entity = "a", action = "*" }, "b.*"]"#,
        ),
        ("[]", &["a.*"], r#"["a.*"]"#),
        ("[\n  'a.*', # why a\n  'b.*' # why b\n]", &["a.*", "c.*"], "[\n  'a.*', # why a\n  \"c.*\"\n]"),
        (
            "[\n  'a.*', # why a\n  'b.*' # why b\n]",
            &["a.*", "b.*", "c.*"],
            "[\n  'a.*', # why a\n  'b.*', # why b\n  \"c.*\"\n]",
        ),
        (
            "[\n  # first\n  'a.*',\n  # second\n  'b.*',\n]",
            &["b.*", "c.*", "d.*"],
            "[\n  # first\n  # second\n  'b.*',\n  \"c.*\",\n  \"d.*\",\n]",
        ),
        ("[\n  'a.*',\n  'b.*']", &["a.*", "c.*"], "[\n  'a.*',\n  \"c.*\"]"),
        (r#"["a.*"]"#, &["a.*", "a.*"], r#"["a.*", "a.*"]"#),
    ] {
        assert_eq!(apply(&table(list), &change("a", vec![filters(wanted)])), table(expected), "{list}");
    }
}
