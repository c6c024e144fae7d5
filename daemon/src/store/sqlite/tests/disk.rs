//! A disk in memory that stands in for the real one under the engine: it writes down all
//! that happens to it, refuses when it is told to, and can lose its power anywhere. What
//! survives that is `disk/platter.rs`, what connections share is `disk/shared.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenKind, OpenOptions, Vfs};

pub(super) use platter::{Luck, Platter, Record};
use shared::{Shared, WalIndex};

mod platter;
mod shared;

const NAME: &str = "simulated";

/// The engine knows file layers by name and for good, so there is one for all disks; which
/// disk is meant says the folder.
static DISKS: Mutex<BTreeMap<PathBuf, Arc<Disk>>> = Mutex::new(BTreeMap::new());

/// The file layer through which a file is to be opened, if a disk stands in for its folder.
pub(in crate::store::sqlite) fn stands_in_for(file: &Path) -> Option<&'static str> {
    Disk::of(file).map(|_| NAME)
}

/// What can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum On {
    Write,
    Sync,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trouble {
    /// There is no room.
    Full,
    /// There is no room after half of it.
    Short,
    /// A sync that fails also forgets what it should have kept, as Linux does.
    Broken,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) on: On,
    /// Operations of this kind that go well before.
    pub(super) after: u64,
    /// How many are refused.
    pub(super) times: u64,
    pub(super) trouble: Trouble,
}

pub(super) struct Disk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    platter: Platter,
    log: Vec<Record>,
    seen: HashMap<On, u64>,
    fault: Option<Fault>,
    troubled: bool,
    shared: HashMap<usize, Arc<Shared>>,
    locks: HashMap<usize, BTreeMap<u64, LockKind>>,
}

/// A folder whose files are on a disk in memory. Only the lock in it is real.
pub(super) struct Mounted {
    folder: tempfile::TempDir,
    disk: Arc<Disk>,
}

impl Mounted {
    pub(super) fn new(platter: Platter) -> Mounted {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk { state: Mutex::new(State { platter, ..State::default() }) });
        register();
        disks().insert(folder.path().to_owned(), disk.clone());
        Mounted { folder, disk }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Notes in the log that so many steps have been answered.
    pub(super) fn answered(&self, steps: usize) {
        self.disk.lock().log.push(Record::Answered(steps));
    }

    pub(super) fn take_log(&self) -> Vec<Record> {
        std::mem::take(&mut self.disk.lock().log)
    }

    /// Brings in the files of another disk.
    pub(super) fn put(&self, files: &Platter) {
        self.disk.lock().platter = files.clone().moved(self.path());
    }

    pub(super) fn platter(&self) -> Platter {
        self.disk.lock().platter.clone()
    }

    /// Counts from now on.
    pub(super) fn set_fault(&self, fault: Fault) {
        let mut state = self.disk.lock();
        state.seen.clear();
        state.fault = Some(fault);
    }

    pub(super) fn heal(&self) {
        self.disk.lock().fault = None;
    }

    /// Anything was refused.
    pub(super) fn was_troubled(&self) -> bool {
        self.disk.lock().troubled
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        disks().remove(self.folder.path());
    }
}

fn disks() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Disk>>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register() {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| sqlite_vfs::register(NAME, Disks, false).unwrap());
}

impl Disk {
    fn of(file: &Path) -> Option<Arc<Disk>> {
        disks().get(file.parent()?).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, record: Record) {
        self.platter.apply(&record);
        self.log.push(record);
    }

    /// What goes wrong with this operation, if anything.
    fn trouble(&mut self, on: On) -> Option<Trouble> {
        let seen = self.seen.entry(on).or_default();
        *seen += 1;
        let fault = self.fault.filter(|fault| fault.on == on)?;
        let refused = *seen > fault.after && *seen - fault.after <= fault.times;
        self.troubled |= refused;
        refused.then_some(fault.trouble)
    }

    fn others(&self, inode: usize, owner: u64) -> impl Iterator<Item = LockKind> {
        let locks = self.locks.get(&inode).into_iter().flatten();
        locks.filter(move |(other, _)| **other != owner).map(|(_, lock)| *lock)
    }
}

/// The file layer as the engine sees it.
struct Disks;

pub(super) struct Handle {
    disk: Arc<Disk>,
    inode: usize,
    owner: u64,
    lock: LockKind,
}

impl Vfs for Disks {
    type Handle = Handle;

    fn open(&self, name: &str, options: OpenOptions) -> Result<Handle> {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        // Temporary files have no folder; each gets a disk of its own.
        let disk = Disk::of(Path::new(name)).unwrap_or_else(|| Arc::new(Disk { state: Mutex::default() }));
        let mut state = disk.lock();
        let found = state.platter.find(name);
        let inode = match (found, options.access) {
            (Some(inode), _) => inode,
            (None, OpenAccess::Create | OpenAccess::CreateNew) => {
                let journal = matches!(options.kind, OpenKind::Wal | OpenKind::MainJournal);
                state.apply(Record::Create { name: name.to_owned(), journal });
                state.platter.find(name).expect("it was made just now")
            }
            (None, _) => return Err(ErrorKind::NotFound.into()),
        };
        drop(state);
        let owner = OWNERS.fetch_add(1, Ordering::Relaxed);
        Ok(Handle { disk, inode, owner, lock: LockKind::None })
    }

    fn delete(&self, name: &str) -> Result<()> {
        let Some(disk) = Disk::of(Path::new(name)) else { return Ok(()) };
        let mut state = disk.lock();
        state.platter.find(name).ok_or(ErrorKind::NotFound)?;
        state.apply(Record::Delete { name: name.to_owned() });
        Ok(())
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(Disk::of(Path::new(name)).is_some_and(|disk| disk.lock().platter.find(name).is_some()))
    }

    fn temporary_name(&self) -> String {
        "temporary".to_owned()
    }

    fn random(&self, buffer: &mut [i8]) {
        buffer.fill_with(rand::random);
    }

    fn sleep(&self, duration: Duration) -> Duration {
        std::thread::sleep(duration);
        duration
    }

    fn full_pathname<'a>(&self, name: &'a str) -> Result<Cow<'a, str>> {
        Ok(name.into())
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = WalIndex;

    fn size(&self) -> Result<u64> {
        Ok(self.disk.lock().platter.content(self.inode).len() as u64)
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut state = self.disk.lock();
        if state.trouble(On::Read).is_some() {
            return Err(Error::other("simulated: the sector cannot be read"));
        }
        let content = state.platter.content(self.inode);
        let there = content.get(offset as usize..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        // The engine wants to see zeros behind the end.
        buffer[count..].fill(0);
        if count == buffer.len() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut state = self.disk.lock();
        let trouble = state.trouble(On::Write);
        let written = match trouble {
            None => bytes.len(),
            Some(Trouble::Short) => bytes.len() / 2,
            Some(_) => 0,
        };
        if written > 0 {
            let bytes = Arc::from(&bytes[..written]);
            state.apply(Record::Write { inode: self.inode, at: offset as usize, bytes });
        }
        match trouble {
            None => Ok(()),
            Some(Trouble::Full | Trouble::Short) => Err(ErrorKind::WriteZero.into()),
            Some(Trouble::Broken) => Err(Error::other("simulated: the sector cannot be written")),
        }
    }

    fn sync(&mut self, _data_only: bool) -> Result<()> {
        let mut state = self.disk.lock();
        if state.trouble(On::Sync).is_some() {
            state.apply(Record::Forget { inode: self.inode });
            return Err(Error::other("simulated: the sync failed"));
        }
        state.apply(Record::Sync { inode: self.inode });
        Ok(())
    }

    fn set_len(&mut self, size: u64) -> Result<()> {
        let mut state = self.disk.lock();
        let (inode, size) = (self.inode, size as usize);
        if size > state.platter.content(inode).len() && state.trouble(On::Write).is_some() {
            return Err(ErrorKind::WriteZero.into());
        }
        state.apply(Record::Truncate { inode, size });
        Ok(())
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool> {
        let mut state = self.disk.lock();
        let free = lock <= self.lock
            || match lock {
                LockKind::None => true,
                LockKind::Shared => state.others(self.inode, self.owner).all(|it| it < LockKind::Pending),
                LockKind::Reserved => state.others(self.inode, self.owner).all(|it| it < LockKind::Reserved),
                _ => state.others(self.inode, self.owner).all(|it| it == LockKind::None),
            };
        if free {
            self.lock = lock;
            state.locks.entry(self.inode).or_default().insert(self.owner, lock);
        }
        Ok(free)
    }

    fn reserved(&mut self) -> Result<bool> {
        let state = self.disk.lock();
        let mut locks = state.locks.get(&self.inode).into_iter().flatten();
        Ok(locks.any(|(_, lock)| *lock >= LockKind::Reserved))
    }

    fn current_lock(&self) -> Result<LockKind> {
        Ok(self.lock)
    }

    fn wal_index(&self, _readonly: bool) -> Result<WalIndex> {
        let mut state = self.disk.lock();
        Ok(WalIndex::new(state.shared.entry(self.inode).or_default().clone(), self.owner))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if let Some(locks) = state.locks.get_mut(&self.inode) {
            locks.remove(&self.owner);
        }
    }
}
