//! Every way in which editors, tools and people put a file in its place.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::harness::dice::Dice;

/// Between the pieces of one save: less than the time files have to be at rest.
const PIECES: Duration = Duration::from_millis(4);

/// A way of saving: the file, what it is to say, and a number that was not used before.
pub type Way = fn(&Path, &str, usize);

pub const WAYS: [(&str, Way); 10] = [
    ("in place", in_place),
    ("in pieces", in_pieces),
    ("renamed over", renamed_over),
    ("deleted and created", deleted_and_created),
    ("symlink swapped", symlink_swapped),
    ("mode changed", mode_changed),
    ("with a backup file", with_a_backup_file),
    ("folder moved", folder_moved),
    ("written to and renamed twice", renamed_twice),
    ("saved twice", saved_twice),
];

/// One of them, as the dice say.
pub fn way(dice: &mut Dice) -> (&'static str, Way) {
    WAYS[dice.below(WAYS.len() as u64) as usize]
}

fn in_place(file: &Path, text: &str, _: usize) {
    fs::write(file, text).unwrap();
}

/// Emptied, then written in three pieces. No beginning of the text is a config of its own:
/// the first piece ends within a word, the second within a string.
fn in_pieces(file: &Path, text: &str, _: usize) {
    let (first, second) = (text.find(']').unwrap_or(1), text.rfind('"').unwrap_or(1));
    let mut open = File::create(file).unwrap();
    for piece in [&text[..first], &text[first..second], &text[second..]] {
        open.write_all(piece.as_bytes()).unwrap();
        open.sync_data().unwrap();
        thread::sleep(PIECES);
    }
}

fn renamed_over(file: &Path, text: &str, _: usize) {
    let beside = beside(file, "new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

fn deleted_and_created(file: &Path, text: &str, _: usize) {
    fs::remove_file(file).unwrap();
    thread::sleep(PIECES);
    fs::write(file, text).unwrap();
}

fn symlink_swapped(file: &Path, text: &str, n: usize) {
    let (target, link) = (beside(file, &format!("{n}.target")), beside(file, "link"));
    fs::write(&target, text).unwrap();
    symlink(&target, &link).unwrap();
    let before = fs::read_link(file);
    fs::rename(link, file).unwrap();
    if let Ok(before) = before.map(|before| file.with_file_name(before)) {
        drop(fs::remove_file(before));
    }
}

fn mode_changed(file: &Path, text: &str, _: usize) {
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    fs::write(file, text).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// What vim does with `backup`: looks whether it may write here, keeps the old file under
/// another name, writes a new one, drops the old one.
fn with_a_backup_file(file: &Path, text: &str, _: usize) {
    let (probe, backup) = (file.with_file_name("4913"), beside(file, "toml~"));
    fs::write(&probe, "").unwrap();
    fs::remove_file(probe).unwrap();
    fs::rename(file, &backup).unwrap();
    let mut open = File::create(file).unwrap();
    open.write_all(text.as_bytes()).unwrap();
    open.sync_all().unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(backup).unwrap();
}

/// The file is a link into a folder, and another folder is moved into its place.
fn folder_moved(file: &Path, text: &str, n: usize) {
    let (current, old) = (file.with_file_name("current"), file.with_file_name(format!("old-{n}")));
    let next = file.with_file_name(format!("next-{n}"));
    fs::create_dir(&next).unwrap();
    fs::write(next.join("config.toml"), text).unwrap();
    if current.exists() {
        fs::rename(&current, &old).unwrap();
    }
    fs::rename(next, &current).unwrap();
    if old.exists() {
        fs::remove_dir_all(old).unwrap();
    }
    let link = beside(file, "link");
    symlink("current/config.toml", &link).unwrap();
    fs::rename(link, file).unwrap();
}

fn renamed_twice(file: &Path, text: &str, n: usize) {
    renamed_over(file, "half of a th", n);
    renamed_over(file, text, n);
}

fn saved_twice(file: &Path, text: &str, n: usize) {
    in_place(file, text, n);
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    renamed_over(file, text, n);
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    file.with_extension(ending)
}
