//! Files of many shapes and edits of every kind: what is meant changes as the edit says, and
//! no line of anybody else does.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use toml::{Table, Value};

use super::*;

/// Names that are bare, need quotes, look like paths, or hold quotes themselves.
const NAMES: [&str; 8] = ["a", "b-1", "c d", "e.f", "ü", "it's", "q\"q", "subscription"];

/// How a table is written. Dotted and inline ones stand in one `[subscription]`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Header,
    WithSubTable,
    Dotted,
    Inline,
}

/// One line and whose it is.
type Line = (Option<usize>, String);

fn form() -> impl Strategy<Value = Form> {
    select(vec![Form::Header, Form::WithSubTable, Form::Dotted, Form::Inline])
}

/// A file with one table for each of the first names.
fn file() -> impl Strategy<Value = (Vec<Form>, Vec<u8>, bool, bool)> {
    (prop::collection::vec(form(), 1..6), prop::collection::vec(0..4u8, 24), any::<bool>(), any::<bool>())
}

fn written(forms: &[Form], dice: &[u8]) -> Vec<Line> {
    let mut dice = dice.iter().copied().cycle();
    let mut lines: Vec<Line> = vec![(None, "# The file.".into()), (None, String::new())];
    let gathered = |form: &Form| matches!(form, Form::Dotted | Form::Inline);
    if forms.iter().any(gathered) {
        lines.push((None, "[subscription] # some of them".into()));
        for (n, form) in forms.iter().enumerate().filter(|(_, form)| gathered(form)) {
            write(n, *form, &mut lines, &mut dice);
            lines.push((None, String::new()));
        }
    }
    lines.extend([(None, "[workspace]".into()), (None, "id = 7   # seven".into()), (None, String::new())]);
    for (n, form) in forms.iter().enumerate().filter(|(_, form)| !gathered(form)) {
        write(n, *form, &mut lines, &mut dice);
        lines.extend([(None, String::new()), (None, "# Apart.".into()), (None, String::new())]);
    }
    lines
}

fn write(n: usize, form: Form, lines: &mut Vec<Line>, dice: &mut impl Iterator<Item = u8>) {
    let name = toml_edit::Key::new(NAMES[n]).to_string();
    let own = |text: String| (Some(n), text);
    lines.extend((0..dice.next().unwrap() % 3).map(|m| own(format!("# About {n}, {m}."))));
    let url = format!("\"http://127.0.0.1:3000/{n}\"");
    let filters =
        ["[\"tag.*\"]", "[ 'tag.*', \"project.*\", ]", "[\n\t\"*.*\", # all\n]", "['task.created'  ]"];
    let filters = filters[usize::from(dice.next().unwrap()) % 4];
    let enabled = ["true", "false", "", ""][usize::from(dice.next().unwrap()) % 4];
    let mut keys = vec![format!("url_callback = {url} # where"), format!("event_filters = {filters}")];
    keys.extend((!enabled.is_empty()).then(|| format!("enabled   = {enabled}")));
    match form {
        Form::Inline => {
            let keys = keys.join(", ").replace(" # where", "").replace("\n\t", "").replace(" # all\n", "");
            lines.push(own(format!("{name} = {{ {keys} }} # inline")));
        }
        Form::Dotted => lines.extend(keys.iter().map(|key| own(format!("{name}.{key}")))),
        Form::Header | Form::WithSubTable => {
            let indent = ["", "", "  ", "\t"][usize::from(dice.next().unwrap()) % 4];
            lines.push(own(format!("{indent}[subscription.{name}]   # {n}")));
            lines.extend(keys.iter().map(|key| own(format!("{indent}{key}"))));
            if form == Form::WithSubTable {
                lines.extend([
                    own(String::new()),
                    own(format!("[ subscription . {name}.headers ]")),
                    own("x-env = 'dev'".into()),
                ]);
            }
        }
    }
}

fn field() -> impl Strategy<Value = Field> {
    let filters =
        prop::collection::hash_set(select(vec!["tag.*", "project.*", "*.*", "task.created", "x.y"]), 1..4);
    prop_oneof![
        any::<bool>().prop_map(|enabled| Field::new("enabled", enabled)),
        select(vec!["http://127.0.0.1:1/", "it's \"quoted\"", "a\\b\n"])
            .prop_map(|url| Field::new("url_callback", url)),
        filters.prop_map(|filters| Field::new("event_filters", filters.into_iter().collect::<Vec<_>>())),
        Just(Field::new("secret", "PGuRrhCFajIyEvFlreKL")),
        Just(Field { key: vec!["headers".into(), "x y".into()], value: Some("1".into()) }),
        Just(Field { key: vec!["headers".into(), "x-env".into()], value: None }),
        select(vec!["enabled", "headers", "event_filters"]).prop_map(Field::without),
    ]
}

fn edit() -> impl Strategy<Value = (Index, Vec<Field>, u8)> {
    (any::<Index>(), prop::collection::vec(field(), 0..4), 0..4u8)
}

/// What the file is to mean after the edit.
fn model(file: &Table, edit: &Edit) -> Table {
    let mut file = file.clone();
    let tables = file.entry("subscription").or_insert_with(|| Table::new().into()).as_table_mut().unwrap();
    match edit {
        Edit::Add { name, fields } => {
            let mut table = Table::new();
            fields.iter().for_each(|field| put(&mut table, &field.key, field.value.as_ref()));
            tables.insert(name.clone(), table.into());
        }
        Edit::Remove { name } => drop(tables.remove(name)),
        Edit::Change { name, rename, fields } => {
            let mut table = tables.remove(name).unwrap().as_table().unwrap().clone();
            fields.iter().for_each(|field| put(&mut table, &field.key, field.value.as_ref()));
            tables.insert(rename.clone().unwrap_or_else(|| name.clone()), table.into());
        }
    }
    meant(file)
}

fn put(table: &mut Table, key: &[String], value: Option<&Value>) {
    match (key, value) {
        ([last], Some(value)) => drop(table.insert(last.clone(), value.clone())),
        ([last], None) => drop(table.remove(last)),
        ([first, rest @ ..], _) => {
            let inner = table.entry(first.clone()).or_insert_with(|| Table::new().into());
            put(inner.as_table_mut().unwrap(), rest, value);
        }
        ([], _) => unreachable!("a key has a part"),
    }
}

/// Without what makes no difference: the order of filters, a default that is written, and
/// tables with nothing in them.
fn meant(mut file: Table) -> Table {
    let tables = file.entry("subscription").or_insert_with(|| Table::new().into()).as_table_mut().unwrap();
    for table in tables.iter_mut().map(|(_, table)| table.as_table_mut().unwrap()) {
        if let Some(Value::Array(filters)) = table.get_mut("event_filters") {
            filters.sort_by_key(Value::to_string);
        }
        table.retain(|key, value| !(key == "enabled" && value.as_bool() == Some(true)));
        table.retain(|_, value| value.as_table().is_none_or(|table| !table.is_empty()));
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edit_means_what_it_says_and_leaves_all_others_alone(
        (forms, dice, crlf, ended) in file(),
        (which, fields, kind) in edit(),
    ) {
        let which = which.index(forms.len());
        let name = NAMES[which].to_owned();
        let edit = match kind {
            0 => Edit::Add { name: "new one".to_owned(), fields: fields.into_iter().filter(|field| field.value.is_some()).collect() },
            1 => Edit::Remove { name },
            2 => Edit::Change { name, rename: Some("new one".to_owned()), fields },
            _ => Edit::Change { name, rename: None, fields },
        };
        let lines = written(&forms, &dice);
        let mut text = lines.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
        if !ended {
            text.truncate(text.trim_end().len());
        }
        let text = if crlf { text.replace('\n', "\r\n") } else { text };

        let edited = match edit.applied(&text) {
            Ok(edited) => edited,
            Err(wrong) => return Err(TestCaseError::fail(format!("{wrong:?}"))),
        };
        let after: Table = toml::from_str(&edited).map_err(|error| TestCaseError::fail(format!("{error}\n{edited}")))?;
        let wanted = model(&toml::from_str(&text).unwrap(), &edit);
        prop_assert_eq!(meant(after), wanted, "{}\n---\n{}", text, edited);

        let added = matches!(edit, Edit::Add { .. });
        let others = lines.iter().filter(|(whose, _)| added || *whose != Some(which));
        let others = others.flat_map(|(_, line)| line.lines()).filter(|line| !line.is_empty());
        let end = if crlf { "\r" } else { "" };
        let mut rest = edited.split('\n');
        for line in others {
            let kept = rest.any(|found| found.strip_suffix(end).unwrap_or(found) == line);
            prop_assert!(kept, "`{}` is gone or not the same:\n{}\n---\n{}", line, text, edited);
        }
        prop_assert_eq!(edited.matches("\r\n").count() > 0, crlf);
    }
}
