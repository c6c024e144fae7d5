//! Patterns by which editors flag a value while it is typed. They let through everything that
//! `config/check.rs` takes, and more: what a text means is decided there. Written in what
//! JavaScript and Rust have in common.

/// Numbers, each with a unit: "5s", "1h 30m".
pub(super) const DURATION: &str = "^0$|^[^a-zA-Zµ]*[0-9][^a-zA-Zµ]*(([nuµm]s|[num]sec|nanos|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|M|months?|y|yrs?|years?)[^a-zA-Zµ]*)+$";

/// A number with a unit: "32MiB", "100 kB".
pub(super) const SIZE: &str = "^\\s*[0-9]+\\s*([kKmMgG][iI]?)?[bB]\\s*$";

/// A loopback address with a port.
pub(super) const TCP: &str = "^(127\\.[0-9]+\\.[0-9]+\\.[0-9]+|\\[[0-9a-fA-F:.%]+\\]):[0-9]+$";

/// `http` or `https`, a host, no fragment.
pub(super) const URL: &str = "^[hH][tT][tT][pP][sS]?://[^/?# \\\\][^# \\\\]*$";
