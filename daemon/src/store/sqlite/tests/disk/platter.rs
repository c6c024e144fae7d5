//! What a disk holds: of every file what would survive a loss of power for certain, and
//! what was written since and may survive, in part, in any order.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// What happened to a disk, in order.
#[derive(Clone, Debug)]
pub(in super::super) enum Record {
    /// The engine syncs the folder with the first sync of a new journal.
    Create {
        name: String,
        journal: bool,
    },
    Delete {
        name: String,
    },
    Write {
        inode: usize,
        at: usize,
        bytes: Arc<[u8]>,
    },
    Truncate {
        inode: usize,
        size: usize,
    },
    Sync {
        inode: usize,
    },
    /// A sync that failed: the system thinks that it has tried, and will not try again.
    Forget {
        inode: usize,
    },
    /// Not to the disk: so many steps of a life have been answered.
    Answered(usize),
}

/// What survives of what no sync has made certain.
pub(in super::super) enum Luck {
    Nothing,
    Everything,
    /// Each write for itself: whole, not at all, its beginning, some of its sectors.
    Some(Box<StdRng>),
}

impl Luck {
    pub(in super::super) fn some(seed: u64) -> Luck {
        Luck::Some(Box::new(StdRng::seed_from_u64(seed)))
    }

    fn flip(&mut self) -> bool {
        match self {
            Luck::Nothing => false,
            Luck::Everything => true,
            Luck::Some(random) => random.random(),
        }
    }
}

#[derive(Clone, Default)]
pub(in super::super) struct Platter {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    certain_names: BTreeMap<String, usize>,
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    certain: Vec<u8>,
    since: Vec<Change>,
    /// Its first sync makes the folder certain.
    new_journal: bool,
}

#[derive(Clone)]
enum Change {
    Write(usize, Arc<[u8]>),
    Truncate(usize),
}

impl Platter {
    pub(in super::super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(in super::super) fn content(&self, inode: usize) -> &[u8] {
        &self.files[inode].now
    }

    pub(in super::super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Create { name, journal } => {
                self.names.insert(name.clone(), self.files.len());
                self.files.push(File { new_journal: *journal, ..File::default() });
            }
            Record::Delete { name } => drop(self.names.remove(name)),
            Record::Write { inode, at, bytes } => self.change(*inode, Change::Write(*at, bytes.clone())),
            Record::Truncate { inode, size } => self.change(*inode, Change::Truncate(*size)),
            Record::Sync { inode } => self.sync(*inode),
            Record::Forget { inode } => self.files[*inode].since.clear(),
            Record::Answered(_) => {}
        }
    }

    /// The disk as it is found when the power is back.
    pub(in super::super) fn after_power_loss(&self, luck: &mut Luck) -> Platter {
        let mut after = Platter::default();
        let all = self.names.keys().chain(self.certain_names.keys());
        for name in all.collect::<std::collections::BTreeSet<_>>() {
            let names = if luck.flip() { &self.names } else { &self.certain_names };
            let Some(inode) = names.get(name) else { continue };
            after.names.insert(name.clone(), after.files.len());
            after.files.push(File::certain(self.files[*inode].surviving(luck)));
        }
        after.certain_names = after.names.clone();
        after
    }

    /// The same files under the names they have in another folder.
    pub(in super::super) fn moved(mut self, folder: &std::path::Path) -> Platter {
        let moved = |names: BTreeMap<String, usize>| -> BTreeMap<String, usize> {
            let file_name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
            let name = |name: String| folder.join(file_name(&name)).display().to_string();
            names.into_iter().map(|(old, inode)| (name(old), inode)).collect()
        };
        self.names = moved(self.names);
        self.certain_names = moved(self.certain_names);
        self
    }

    fn change(&mut self, inode: usize, change: Change) {
        let file = &mut self.files[inode];
        change.apply(&mut file.now);
        file.since.push(change);
    }

    fn sync(&mut self, inode: usize) {
        let file = &mut self.files[inode];
        std::mem::take(&mut file.since).iter().for_each(|change| change.apply(&mut file.certain));
        if std::mem::take(&mut file.new_journal) {
            self.certain_names = self.names.clone();
        }
    }
}

impl File {
    fn certain(content: Vec<u8>) -> File {
        File { now: content.clone(), certain: content, ..File::default() }
    }

    fn surviving(&self, luck: &mut Luck) -> Vec<u8> {
        let mut content = self.certain.clone();
        match luck {
            Luck::Nothing => {}
            Luck::Everything => self.since.iter().for_each(|change| change.apply(&mut content)),
            Luck::Some(random) => {
                self.since.iter().for_each(|change| change.apply_in_part(&mut content, random))
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => write(content, *at, bytes),
            Change::Truncate(size) => content.resize(*size, 0),
        }
    }

    fn apply_in_part(&self, content: &mut Vec<u8>, random: &mut StdRng) {
        let Change::Write(at, bytes) = self else {
            return if random.random() {
                self.apply(content)
            };
        };
        match random.random_range(0..5) {
            0 | 1 => self.apply(content),
            2 => write(content, *at, &bytes[..random.random_range(0..=bytes.len())]),
            3 => {
                let mut from = 0;
                while from < bytes.len() {
                    let end = ((at + from) / SECTOR + 1) * SECTOR - at;
                    let end = end.min(bytes.len());
                    if random.random() {
                        write(content, at + from, &bytes[from..end]);
                    }
                    from = end;
                }
            }
            _ => {}
        }
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}
