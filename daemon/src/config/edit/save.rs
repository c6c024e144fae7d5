//! Puts new content in a file's place, as a whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// Between looks whether a folder is free, and how many: two seconds.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 200;

/// Writes beside the file, syncs, renames over it. A link stays a link; mode and owner stay.
/// Says whether the file still held `before`; only then it is replaced.
pub(super) fn replace(file: &Path, content: &[u8], before: &[u8]) -> io::Result<bool> {
    let target = fs::canonicalize(file)?;
    let old = fs::metadata(&target)?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let _alone = lock(folder)?;
    // Hidden, so that no `include` pattern matches it.
    let beside = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let replaced = write_new(&beside, content, &old)
        // As late as can be: somebody may have saved while this was written.
        .and_then(|()| Ok(fs::read(&target)? == before))
        .and_then(|same| if same { fs::rename(&beside, &target).map(|()| true) } else { Ok(false) });
    if !matches!(replaced, Ok(true)) {
        // What went wrong first is what matters.
        drop(fs::remove_file(&beside));
        return replaced;
    }
    File::open(folder)?.sync_all()?;
    Ok(true)
}

/// Keeps other commands from replacing a file in this folder between our look and our rename.
/// A file system that knows no locks, or one that is held for too long, is done without.
fn lock(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    for _ in 0..LOOKS {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOOK),
            _ => break,
        }
    }
    Ok(folder)
}

fn write_new(file: &Path, content: &[u8], old: &Metadata) -> io::Result<()> {
    // Closed to others until it has the mode of the file it replaces: it may hold secrets.
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    let made = new.metadata()?;
    // Root may edit a file whose owner must still be able to read it.
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(old.permissions())?;
    new.write_all(content)?;
    new.sync_all()
}
