//! What can be read off a plugin that was loaded: its digest, what it offers and asks for.

use super::Plugin;

impl Plugin {
    /// SHA-256 of the file, as the config writes it.
    pub fn sha256(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Names of the interfaces that it imports, in its order.
    pub fn imports(&self) -> Vec<String> {
        let kind = self.code.pre.component().component_type();
        kind.imports(self.engine()).map(|(name, _)| name.to_owned()).collect()
    }

    /// Names of the interfaces that it exports, in its order.
    pub fn exports(&self) -> Vec<String> {
        let kind = self.code.pre.component().component_type();
        kind.exports(self.engine()).map(|(name, _)| name.to_owned()).collect()
    }

    /// The version of the contract that it was built for.
    pub fn contract(&self) -> Option<String> {
        let ours = |name: &String| Some(name.strip_prefix("track:relay/")?.split_once('@')?.1.to_owned());
        self.exports().iter().find_map(ours)
    }
}
