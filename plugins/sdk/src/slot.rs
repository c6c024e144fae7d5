//! Where an exported plugin lives between its calls. For the macros; plugins need not know.

use std::cell::OnceCell;

use crate::host;

/// Holds a plugin from `configure` on.
pub struct Slot<P>(OnceCell<P>);

impl<P> Slot<P> {
    pub const fn empty() -> Slot<P> {
        Slot(OnceCell::new())
    }

    pub fn fill(&self, configure: impl FnOnce() -> Result<P, String>) -> Result<(), String> {
        host::report_panics();
        let plugin = configure()?;
        self.0.set(plugin).map_err(|_| "the plugin was configured twice".to_owned())
    }

    pub fn ask<A>(&self, call: impl FnOnce(&P) -> Result<A, String>) -> Result<A, String> {
        call(self.0.get().ok_or("the plugin was not configured")?)
    }
}
