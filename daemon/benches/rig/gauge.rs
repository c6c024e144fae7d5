//! What the kernel says about a process, the disk below its store and the whole machine.
//! Read at two moments; the difference is what a run has cost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

/// The kernel counts CPU in `/proc/*/stat` in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// How far the two ways to read CPU may be apart by rounding alone.
const ROUNDING: Duration = Duration::from_millis(30);

/// One process and what is around it, at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    /// CPU by the process's own account, in ticks, threads that ended included.
    ticks: Duration,
    /// CPU by thread, in nanoseconds.
    threads: BTreeMap<u32, Thread>,
    pub memory: Memory,
    pub descriptors: usize,
    disk: Option<Disk>,
    machine: Duration,
    own: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Thread {
    cpu: Duration,
    switches: u64,
}

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub now: f64,
    pub peak: f64,
}

#[derive(Clone, Copy, Debug)]
struct Disk {
    flushes: u64,
    bytes: u64,
}

/// What lies between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub cpu: Duration,
    /// Voluntary switches: how often a thread went to sleep for want of work.
    pub switches: u64,
    /// None where the disk's counters cannot be read.
    pub flushes: Option<u64>,
    pub bytes: Option<u64>,
    /// Cores that neither the system under test nor the load used, on average.
    pub others: f64,
}

impl Reading {
    /// `store` is a folder on the disk that the process writes to.
    pub fn take(pid: u32, store: &Path) -> anyhow::Result<Reading> {
        let read = || -> anyhow::Result<Reading> {
            Ok(Reading {
                at: Instant::now(),
                ticks: ticks(pid)?,
                threads: threads(pid)?,
                memory: memory(pid)?,
                descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
                disk: disk(store),
                machine: machine()?,
                own: ticks(std::process::id())?,
            })
        };
        read().with_context(|| format!("failed to read what /proc says about process {pid}"))
    }

    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    pub fn since(&self, before: &Reading) -> Cost {
        let cpu = self.cpu_since(before);
        let busy = self.machine.saturating_sub(before.machine);
        let ours = cpu + self.own.saturating_sub(before.own);
        let disk = self.disk.zip(before.disk);
        Cost {
            cpu,
            switches: self.switches().saturating_sub(before.switches()),
            flushes: disk.map(|(after, before)| after.flushes - before.flushes),
            bytes: disk.map(|(after, before)| after.bytes - before.bytes),
            others: busy.saturating_sub(ours).as_secs_f64() / (self.at - before.at).as_secs_f64(),
        }
    }

    /// By thread, which is exact, unless a thread ended and took its count along.
    fn cpu_since(&self, before: &Reading) -> Duration {
        let rough = self.ticks.saturating_sub(before.ticks);
        let sum = |reading: &Reading| reading.threads.values().map(|thread| thread.cpu).sum::<Duration>();
        let exact = sum(self).saturating_sub(sum(before));
        if rough.abs_diff(exact) <= ROUNDING { exact } else { rough }
    }

    fn switches(&self) -> u64 {
        self.threads.values().map(|thread| thread.switches).sum()
    }
}

fn ticks(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(times.sum::<Result<u32, _>>().map(|ticks| TICK * ticks)?)
}

fn threads(pid: u32) -> anyhow::Result<BTreeMap<u32, Thread>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A thread may end between these lines.
        let Ok(times) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let nanos = times.split_whitespace().next().and_then(|text| text.parse().ok());
        let cpu = Duration::from_nanos(nanos.context("no time in schedstat")?);
        let switches = field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
        threads.insert(id, Thread { cpu, switches });
    }
    Ok(threads)
}

fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    #[expect(clippy::cast_precision_loss, reason = "memory in KiB is far below 2^52")]
    let mib = |name| field(&status, name).map(|kib| kib as f64 / 1024.0).context("no memory in it");
    Ok(Memory { now: mib("VmRSS:")?, peak: mib("VmHWM:")? })
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Counters of the block device below a folder.
fn disk(folder: &Path) -> Option<Disk> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device).to_string(), rustix::fs::minor(device).to_string());
    let text = fs::read_to_string("/proc/diskstats").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        let is_it = fields.first() == Some(&major.as_str()) && fields.get(1) == Some(&minor.as_str());
        // Sectors have 512 bytes here, whatever the disk's are.
        is_it.then(|| Some(Disk { flushes: number(18)?, bytes: number(9)? * 512 }))?
    })
}

/// CPU time of everything that runs on this machine.
fn machine() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let fields: Vec<u32> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap_or(u32::MAX))
        .collect();
    // User, nice, system, then idle and waiting, then interrupts, and what a host took away.
    let busy = [0, 1, 2, 5, 6, 7].into_iter().filter_map(|place| fields.get(place));
    Ok(busy.map(|ticks| TICK * *ticks).sum())
}

/// Kernel, cores and processor, for whoever reads the figures elsewhere.
pub fn machine_facts() -> serde_json::Value {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    serde_json::json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": kernel.trim(),
        "cpu": model.map_or("unknown", |(_, name)| name.trim()),
    })
}
