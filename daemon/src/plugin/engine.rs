//! How wasmtime is set up: which code is accepted, how it is compiled, where the memory of
//! instances comes from.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use super::limits::{MEMORY_CEILING, STACK, TABLE_ELEMENTS};
use super::seats::SEATS;

/// Instances the pool has room for: every seat, and the trials of a load beside them.
const INSTANCES: u32 = SEATS as u32 + 4;

/// Parts of one component. Rust needs 4 core instances, JavaScript 12, Python more than 32.
const CORE_INSTANCES: u32 = 64;
const TABLES: u32 = 6;
const MEMORIES: u32 = 4;

/// The one engine. Where address space is limited (`ulimit -v`), memory is taken on
/// demand instead of from a pool: everything works the same, a little slower.
pub(super) fn build(cache_dir: Option<&Path>) -> anyhow::Result<Engine> {
    let mut config = rules();
    match cache_dir.map(cache) {
        None => {}
        Some(Ok(cache)) => {
            config.cache(Some(cache));
        }
        Some(Err(error)) => {
            tracing::warn!("compiled plugins are not kept, every start compiles them anew: {error:#}");
        }
    }
    let engine = Engine::new(pooled(&mut config)).or_else(|error| {
        tracing::info!("address space is limited, plugins take memory on demand: {error:#}");
        Engine::new(on_demand(&mut config))
    });
    engine.map_err(anyhow::Error::from).context("failed to set up the plugin engine")
}

/// What plugins can be and do, whatever the memory comes from.
pub(super) fn rules() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // A failure tells the reason in words; offsets into stripped code help nobody.
        .wasm_backtrace_max_frames(None)
        // The same event must give the same answer on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

/// Instances in slots made beforehand: a fresh one costs a quarter of what it does on demand.
fn pooled(config: &mut Config) -> &mut Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * CORE_INSTANCES)
        .total_tables(INSTANCES * TABLES)
        .total_memories(INSTANCES * MEMORIES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_tables_per_component(TABLES)
        .max_memories_per_component(MEMORIES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MEMORY_CEILING)
        // Pages that a plugin wrote are wiped in place rather than given back and faulted in
        // again, where the kernel can say which ones they are.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(1 << 20);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
}

pub(super) fn on_demand(config: &mut Config) -> &mut Config {
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(64 << 20)
        .memory_guard_size(64 << 10)
}

/// Compiled code on disk. Whoever can write there can run code as the daemon, so the
/// folder is the owner's alone.
fn cache(dir: &Path) -> anyhow::Result<Cache> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("failed to make the folder `{}`", dir.display()))?;
    let mut config = CacheConfig::new();
    config.with_directory(dir.canonicalize()?);
    Ok(Cache::new(config)?)
}
