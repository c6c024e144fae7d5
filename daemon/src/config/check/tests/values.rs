//! Durations, sizes and addresses.

use super::same;

#[test]
fn durations_sizes_and_addresses() {
    same(&[
        (
            r#"[defaults]
timeout = "10""#,
            r#"error: `defaults.timeout` has no unit
 --> config.toml:2:11
  |
2 | timeout = "10"
  |           ^^^^
  |
  = help: write a number and a unit, such as "50ms", "10s", "5m", "1h" or "7d""#,
        ),
        (
            r#"[defaults]
timeout = "10 sheep""#,
            r#"error: `defaults.timeout` has an unknown unit `sheep`
 --> config.toml:2:11
  |
2 | timeout = "10 sheep"
  |           ^^^^^^^^^^
  |
  = help: write a number and a unit, such as "50ms", "10s", "5m", "1h" or "7d""#,
        ),
        (
            r#"[defaults]
timeout = "11m""#,
            r#"error: `defaults.timeout` must be from 1ms to 10m, not 11m
 --> config.toml:2:11
  |
2 | timeout = "11m"
  |           ^^^^^"#,
        ),
        (
            r#"[defaults]
retry = ["1m", "soon", "8d"]"#,
            r#"error: `defaults.retry` is not a duration
 --> config.toml:2:16
  |
2 | retry = ["1m", "soon", "8d"]
  |                ^^^^^^
  |
  = help: write a number and a unit, such as "50ms", "10s", "5m", "1h" or "7d"

error: `defaults.retry` must be at most 7d, not 8d
 --> config.toml:2:24
  |
2 | retry = ["1m", "soon", "8d"]
  |                        ^^^^"#,
        ),
        (
            r#"[store]
keep = "59s""#,
            r#"error: `store.keep` must be from 1m to 10y, not 59s
 --> config.toml:2:8
  |
2 | keep = "59s"
  |        ^^^^^"#,
        ),
        (
            r#"[listen]
max_body = "1 MegaByte""#,
            r#"error: `listen.max_body` has an unknown unit `MegaByte`
 --> config.toml:2:12
  |
2 | max_body = "1 MegaByte"
  |            ^^^^^^^^^^^^
  |
  = help: write a number and a unit, such as "512KiB", "1MiB" or "100 kB""#,
        ),
        (
            r#"[listen]
max_body = "1B""#,
            r#"error: `listen.max_body` must be from 1KiB to 64MiB, not 1B
 --> config.toml:2:12
  |
2 | max_body = "1B"
  |            ^^^^"#,
        ),
        (
            r#"[listen]
tcp = "localhost:7717""#,
            r#"error: `listen.tcp` is not an address and a port
 --> config.toml:2:7
  |
2 | tcp = "localhost:7717"
  |       ^^^^^^^^^^^^^^^^
  |
  = help: write "127.0.0.1:7717" or "[::1]:7717"; with port 0 the system picks one"#,
        ),
        (
            r#"[listen]
tcp = "0.0.0.0:7717""#,
            r#"error: `listen.tcp` must be a loopback address
 --> config.toml:2:7
  |
2 | tcp = "0.0.0.0:7717"
  |       ^^^^^^^^^^^^^^
  |
  = help: this version has no TLS, so it serves this machine only; use "127.0.0.1:7717" or "[::1]:7717""#,
        ),
        (
            r#"[listen]
unix = "/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
            r#"error: the unix socket's path `/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` has 109 bytes, more than the 107 the system takes
 --> config.toml:2:8
  |
2 | unix = "/run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: set a shorter path as `unix` in `[listen]`, or "off""#,
        ),
        (
            r#"[listen]
hosts = ["relay.test", "https://relay.test"]"#,
            r#"error: `https://relay.test` is not a host name
 --> config.toml:2:24
  |
2 | hosts = ["relay.test", "https://relay.test"]
  |                        ^^^^^^^^^^^^^^^^^^^^
  |
  = help: write the name alone, without scheme, port or `*`"#,
        ),
    ]);
}
