//! How a command ends when it does not end well, and the exit code that says so.

use crate::runtime::NoConfig;

/// Why a command failed. Scripts tell these apart by the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Asked for something that is not there or was refused.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// Arguments that make no sense together, beyond what clap can tell.
    #[error("{0}")]
    Usage(String),
    /// The problems themselves are printed before.
    #[error("{0}")]
    BadConfig(String),
    #[error("{0}")]
    NoDaemon(String),
    /// Whoever read our output has gone (`trackrelay list | head -1`): nothing to say.
    #[error("nobody reads the output any more")]
    Unread,
}

impl Failure {
    /// A failure of the plain kind.
    pub fn failed(text: impl Into<String>) -> Failure {
        Failure::Failed(anyhow::Error::msg(text.into()))
    }

    /// After sysexits.h where that has a number: EX_UNAVAILABLE and EX_CONFIG.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::NoDaemon(_) => 69,
            Failure::BadConfig(_) => 78,
            Failure::Unread => 0,
        }
    }
}

impl From<NoConfig> for Failure {
    fn from(error: NoConfig) -> Failure {
        Failure::BadConfig(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_scripts_rely_on() {
        let table = [
            (Failure::failed("x"), 1),
            (Failure::Usage("x".into()), 2),
            (Failure::NoDaemon("x".into()), 69),
            (Failure::BadConfig("x".into()), 78),
            (NoConfig { looked_for: Vec::new() }.into(), 78),
            (Failure::Unread, 0),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn causes_are_told_in_one_line() {
        let error = anyhow::anyhow!("no such file").context("cannot read `a.json`");
        assert_eq!(Failure::from(error).to_string(), "cannot read `a.json`: no such file");
    }
}
