//! Edits, byte for byte.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::*;

mod forms;
mod random;

fn set_enabled(file: &Path, name: &str, enabled: bool, expected: &str) -> Result<bool, Error> {
    let fields = vec![Field::new("enabled", enabled)];
    draft(file, &Edit::Change { name: name.to_owned(), rename: None, fields }, expected)?.save()
}

/// Applies `set_enabled` to a file of this text and returns what the file holds then.
fn edited(text: &str, name: &str, enabled: bool) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    let changed = set_enabled(&file, name, enabled, &hash(text.as_bytes())).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
    (changed, fs::read_to_string(&file).unwrap())
}

const COMMENTED: &str = r#"# Top of the file.
include = [ "a/*.toml", ]   # odd   spacing stays

[listen]# no space
tcp="127.0.0.1:0"

	# Indented with a tab, before a table.
	[subscription.a]   # header comment
	url_callback  =  'http://127.0.0.1:3000/a'  # two  spaces
	event_filters = [
		"tag.*", # why tags
		"project.*",
	] # end of the list
	# A comment at the end of the table.

	[subscription.a.headers]
	"x-env" = "dev"

[subscription."b c"]
headers.x-a = "1"
enabled = true# stays on
headers.x-b = "2"
url_callback = "http://127.0.0.1:3000/b"
event_filters = ["*.*"]

[plugin]
zz.path = "z.wasm"
aa.path = "a.wasm"   # not sorted

[subscription]
"d" = { url_callback = "http://127.0.0.1:3000/d", event_filters = ["*.*"] } # inline
e.url_callback = "http://127.0.0.1:3000/e"
e.event_filters = ["*.*"]
# no line break at the end"#;

#[test]
fn a_new_key_goes_below_the_last_one_and_every_other_byte_stays() {
    let expected = COMMENTED.replace("\t] # end of the list\n", "\t] # end of the list\n\tenabled = false\n");
    assert_eq!(edited(COMMENTED, "a", false), (true, expected));
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    let expected = COMMENTED.replace("enabled = true# stays on", "enabled = false# stays on");
    assert_eq!(edited(COMMENTED, "b c", false), (true, expected));
}

#[test]
fn inline_and_dotted_tables_keep_their_form() {
    let expected = COMMENTED.replace("[\"*.*\"] } # inline", "[\"*.*\"], enabled = false } # inline");
    assert_eq!(edited(COMMENTED, "d", false), (true, expected));
    let expected = COMMENTED
        .replace("e.event_filters = [\"*.*\"]\n", "e.event_filters = [\"*.*\"]\ne.enabled = false\n");
    assert_eq!(edited(COMMENTED, "e", false), (true, expected));
}

#[test]
fn what_is_so_already_is_not_written() {
    assert_eq!(edited(COMMENTED, "a", true), (false, COMMENTED.to_owned()));
    assert_eq!(edited(COMMENTED, "b c", true), (false, COMMENTED.to_owned()));
    let disabled = edited(COMMENTED, "a", false).1;
    assert_eq!(edited(&disabled, "a", false), (false, disabled.clone()));
    let enabled = COMMENTED.replace("\t] # end of the list\n", "\t] # end of the list\n\tenabled = true\n");
    assert_eq!(edited(&disabled, "a", true), (true, enabled));
}

#[test]
fn line_ends_stay_as_they_are() {
    for (text, expected) in [
        (
            "\u{feff}[subscription.a]\r\nurl = 1\r\n\r\n[x]\r\n",
            "\u{feff}[subscription.a]\r\nurl = 1\r\nenabled = false\r\n\r\n[x]\r\n",
        ),
        ("[subscription.a]\nurl = 1", "[subscription.a]\nurl = 1\nenabled = false"),
        ("[subscription.a]\nurl = 1 # ü", "[subscription.a]\nurl = 1 # ü\nenabled = false"),
    ] {
        assert_eq!(edited(text, "a", false), (true, expected.to_owned()));
    }
}

#[test]
fn mode_owner_and_link_stay() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    let (target, link) = (folder.path().join("elsewhere/real.toml"), folder.path().join("config.toml"));
    fs::write(&target, COMMENTED).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("elsewhere/real.toml", &link).unwrap();
    // Only root can give a file away.
    let owner = if rustix::process::getuid().is_root() { 4711 } else { rustix::process::getuid().as_raw() };
    chown(&target, Some(owner), None).unwrap();
    assert!(set_enabled(&link, "a", false, &hash(COMMENTED.as_bytes())).unwrap());
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("elsewhere/real.toml"));
    let edited = fs::metadata(&target).unwrap();
    assert_eq!((edited.mode() & 0o777, edited.uid()), (0o640, owner));
    assert!(fs::read_to_string(&target).unwrap().contains("enabled = false"));
}

#[test]
fn a_file_that_is_not_as_it_was_loaded_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let refused = |expected: &str| set_enabled(&file, "a", false, expected).unwrap_err();
    let gone = refused("");
    assert!(matches!(gone, Error::Unreadable { .. }) && gone.to_string().contains("config.toml"), "{gone}");
    fs::write(&file, COMMENTED).unwrap();
    let stale = refused(&hash(b"another text"));
    assert!(matches!(stale, Error::Stale { .. }) && stale.to_string().contains("config.toml"), "{stale}");
    let other = set_enabled(&file, "nobody", false, &hash(COMMENTED.as_bytes())).unwrap_err();
    assert!(matches!(other, Error::NoTable { .. }), "{other}");
    assert_eq!(fs::read_to_string(&file).unwrap(), COMMENTED);
    fs::write(&file, "[broken").unwrap();
    assert!(matches!(refused(&hash(b"[broken")), Error::Unreadable { .. }));
}

#[test]
fn a_save_between_edit_and_rename_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, COMMENTED).unwrap();
    let edit = Edit::Remove { name: "a".to_owned() };
    let draft = draft(&file, &edit, &hash(COMMENTED.as_bytes())).unwrap();
    fs::write(&file, "# saved by somebody else\n").unwrap();
    let refused = draft.save().unwrap_err();
    assert!(matches!(refused, Error::Stale { .. }), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "# saved by somebody else\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
}
