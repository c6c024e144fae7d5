//! Keys, types and words: what the schema knows, and syntax.

use super::same;

#[test]
fn keys_types_and_words() {
    same(&[
        (
            r#"[subscriptions.a]"#,
            r#"error: unknown key `subscriptions`
 --> config.toml:1:2
  |
1 | [subscriptions.a]
  |  ^^^^^^^^^^^^^
  |
  = help: did you mean `subscription`?"#,
        ),
        (
            r#"[listen]
tpc = "127.0.0.1:0""#,
            r#"error: unknown key `tpc` in `listen`
 --> config.toml:2:1
  |
2 | tpc = "127.0.0.1:0"
  | ^^^
  |
  = help: did you mean `tcp`?"#,
        ),
        (
            r#"[store]
colour = "red""#,
            r#"error: unknown key `colour` in `store`
 --> config.toml:2:1
  |
2 | colour = "red"
  | ^^^^^^
  |
  = help: known keys: keep, path"#,
        ),
        (
            r#"[subscription.example.com]
url_callback = "http://127.0.0.1:3000""#,
            r#"error: unknown key `com` in `subscription.example`
 --> config.toml:1:23
  |
1 | [subscription.example.com]
  |                       ^^^
  |
  = help: a name with a dot needs quotes: `[subscription."example.com"]`"#,
        ),
        (
            r#"[subscription.a]
url_calback = "http://127.0.0.1:3000"
event_filters = ["*.*"]"#,
            r#"error: unknown key `url_calback` in `subscription.a`
 --> config.toml:2:1
  |
2 | url_calback = "http://127.0.0.1:3000"
  | ^^^^^^^^^^^
  |
  = help: did you mean `url_callback`?"#,
        ),
        (
            r#"[subscription.a]
event_filters = ["*.*"]"#,
            r#"error: `subscription.a` has no `url_callback`
 --> config.toml:1:15
  |
1 | [subscription.a]
  |               ^
  |
  = help: add `url_callback = …`"#,
        ),
        (
            r#"[user.ana]
id = 1"#,
            r#"error: `user.ana` has no `role`
 --> config.toml:1:7
  |
1 | [user.ana]
  |       ^^^
  |
  = help: add `role = …`"#,
        ),
        (
            r#"[defaults]
timeout = 10"#,
            r#"error: `defaults.timeout`: expected text, found a number
 --> config.toml:2:11
  |
2 | timeout = 10
  |           ^^
  |
  = help: write text, such as "10s""#,
        ),
        (
            r#"[defaults]
concurrency = "8""#,
            r#"error: `defaults.concurrency`: expected a whole number, found text
 --> config.toml:2:15
  |
2 | concurrency = "8"
  |               ^^^"#,
        ),
        (
            r#"[defaults]
concurrency = 0"#,
            r#"error: `defaults.concurrency` must be from 1 to 1024
 --> config.toml:2:15
  |
2 | concurrency = 0
  |               ^"#,
        ),
        (
            r#"[defaults]
disable_after = 99999999999999999999"#,
            r#"error: `defaults.disable_after` must be from 1 to 1000000
 --> config.toml:2:17
  |
2 | disable_after = 99999999999999999999
  |                 ^^^^^^^^^^^^^^^^^^^^"#,
        ),
        (
            r#"[workspace]
id = -1"#,
            r#"error: `workspace.id` must be at least 1
 --> config.toml:2:6
  |
2 | id = -1
  |      ^^"#,
        ),
        (
            r#"[workspace]
id = 9223372036854775808"#,
            r#"error: `workspace.id` must be at most 9223372036854775807
 --> config.toml:2:6
  |
2 | id = 9223372036854775808
  |      ^^^^^^^^^^^^^^^^^^^"#,
        ),
        (
            r#"[defaults]
order = "entty""#,
            r#"error: `defaults.order` cannot be `entty`
 --> config.toml:2:9
  |
2 | order = "entty"
  |         ^^^^^^^
  |
  = help: did you mean "entity"?"#,
        ),
        (
            r#"[defaults]
on_plugin_error = "explode""#,
            r#"error: `defaults.on_plugin_error` cannot be `explode`
 --> config.toml:2:19
  |
2 | on_plugin_error = "explode"
  |                   ^^^^^^^^^
  |
  = help: write "hold", "deliver" or "drop""#,
        ),
        (
            r#"[defaults]
headers = ["x-env"]"#,
            r#"error: `defaults.headers`: expected a table, found a list
 --> config.toml:2:11
  |
2 | headers = ["x-env"]
  |           ^^^^^^^^^"#,
        ),
        (
            r#"[[subscription.a]]
url_callback = "http://127.0.0.1:3000""#,
            r#"error: `subscription.a`: expected a table, found a list
 --> config.toml:1:1
  |
1 | [[subscription.a]]
  | ^^^^^^^^^^^^^^^^^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = []"#,
            r#"error: `subscription.a.event_filters` must not be empty
 --> config.toml:3:17
  |
3 | event_filters = []
  |                 ^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = 12345"#,
            r#"error: `subscription.a.secret`: expected text or a table, found a number
 --> config.toml:4:10
  |
4 | secret = *****
  |          ^^^^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secert = "hunter2""#,
            r#"error: unknown key `secert` in `subscription.a`
 --> config.toml:4:1
  |
4 | secert = "*******"
  | ^^^^^^
  |
  = help: did you mean `secret`?"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
filter = [{ plugin = "p", config = { most = inf } }]"#,
            r#"error: no plugin is named `p`
 --> config.toml:4:22
  |
4 | filter = [{ plugin = "p", config = { most = inf } }]
  |                      ^^^
  |
  = help: add a `[plugin.p]` table

error: `subscription.a.filter.config.most`: `inf` has no form in JSON
 --> config.toml:4:45
  |
4 | filter = [{ plugin = "p", config = { most = inf } }]
  |                                             ^^^"#,
        ),
    ]);
}

#[test]
fn keys_in_the_wrong_place_or_of_a_later_version() {
    same(&[
        (
            r#"timeout = "5s""#,
            r#"error: `timeout` does not stand alone
 --> config.toml:1:1
  |
1 | timeout = "5s"
  | ^^^^^^^
  |
  = help: it belongs in `[defaults]` or in a `[subscription.*]` table"#,
        ),
        (
            r#"[defaults]
url_callback = "http://127.0.0.1:3000""#,
            r#"error: `url_callback` has no default
 --> config.toml:2:1
  |
2 | url_callback = "http://127.0.0.1:3000"
  | ^^^^^^^^^^^^
  |
  = help: write it in each `[subscription.*]` table"#,
        ),
        (
            r#"[listen]
include = ["more/*.toml"]"#,
            r#"error: `include` is not a key of `[listen]`
 --> config.toml:2:1
  |
2 | include = ["more/*.toml"]
  | ^^^^^^^
  |
  = help: it belongs at the top of the main file, above the first table"#,
        ),
        (
            r#"[listen.tls]
cert = "cert.pem""#,
            r#"error: this version has no TLS
 --> config.toml:1:9
  |
1 | [listen.tls]
  |         ^^^
  |
  = help: it listens on loopback addresses only; remove the table"#,
        ),
        (
            r#"[store]
nats = "nats://127.0.0.1""#,
            r#"error: this version keeps events in its own store, not in NATS
 --> config.toml:2:1
  |
2 | nats = "nats://127.0.0.1"
  | ^^^^
  |
  = help: remove the key"#,
        ),
    ]);
}

#[test]
fn syntax() {
    same(&[
        (
            r#"[listen
tcp = "127.0.0.1:0""#,
            r#"error: unclosed table, expected `]`
 --> config.toml:1:8
  |
1 | [listen
  |        ^"#,
        ),
        (
            r#"[listen]
tcp = "127.0.0.1:0
unix = off"#,
            r#"error: invalid basic string, expected `"`
 --> config.toml:2:19
  |
2 | tcp = "127.0.0.1:0
  |                   ^

error: string values must be quoted, expected literal string
 --> config.toml:3:8
  |
3 | unix = off
  |        ^^^"#,
        ),
        (
            r#"[store]
keep = "1d"
keep = "2d""#,
            r#"error: duplicate key
 --> config.toml:3:1
  |
3 | keep = "2d"
  | ^^^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = hunter2"#,
            r#"error: string values must be quoted, expected literal string
 --> config.toml:4:10
  |
4 | secret = *******
  |          ^^^^^^^"#,
        ),
    ]);
}
