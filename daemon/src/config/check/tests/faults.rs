//! Faults: bounds, what they need, and that each load warns of them.

use super::same;

#[test]
fn faults_are_held_against_their_bounds_and_told_of() {
    same(&[
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
concurrency = 1
[subscription.a.faults]
dorp = 0.1
drop = 1.5
fail = nan
delay = "often"
delay_for = "11s"
reorder = 1"#,
            r#"error: unknown key `dorp` in `subscription.a.faults`
 --> config.toml:6:1
  |
6 | dorp = 0.1
  | ^^^^
  |
  = help: did you mean `drop`?

error: `subscription.a.faults.drop` must be from 0 to 1, not 1.5
 --> config.toml:7:8
  |
7 | drop = 1.5
  |        ^^^
  |
  = help: it is a probability: 0.1 is one in ten

error: `subscription.a.faults.fail` must be from 0 to 1, not NaN
 --> config.toml:8:8
  |
8 | fail = nan
  |        ^^^
  |
  = help: it is a probability: 0.1 is one in ten

error: `subscription.a.faults.delay`: expected a number, found text
 --> config.toml:9:9
  |
9 | delay = "often"
  |         ^^^^^^^

error: `subscription.a.faults.delay_for` must be at most `timeout`, which is 10s
  --> config.toml:10:13
   |
10 | delay_for = "11s"
   |             ^^^^^

error: `subscription.a.faults.reorder` cannot happen: nothing can overtake with `concurrency = 1`
  --> config.toml:11:11
   |
11 | reorder = 1
   |           ^"#,
        ),
        (
            r#"[defaults]
faults = { drop = 0.5 }"#,
            r#"error: `faults` has no default
 --> config.toml:2:1
  |
2 | faults = { drop = 0.5 }
  | ^^^^^^
  |
  = help: write it in each `[subscription.*]` table"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
faults = { drop = 0.125, delay = 1 }"#,
            r#"warning: faults are injected into what goes to `a`: drop 12.5%, delay 100% (1s), seed 0
 --> config.toml:4:10
  |
4 | faults = { drop = 0.125, delay = 1 }
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: take this table out to end it"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
faults = { seed = 7, drop = 0 }"#,
            "",
        ),
    ]);
}
