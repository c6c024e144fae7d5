//! Sources, their names and their secrets.

use super::{said, same};

#[test]
fn sources() {
    same(&[
        (
            r#"[source.track]"#,
            r#"error: `source.track` has no `secret`
 --> config.toml:1:9
  |
1 | [source.track]
  |         ^^^^^
  |
  = help: add `secret = …`"#,
        ),
        (
            r#"[source.track]
secert = "hunter2""#,
            r#"error: unknown key `secert` in `source.track`
 --> config.toml:2:1
  |
2 | secert = "*******"
  | ^^^^^^
  |
  = help: did you mean `secret`?"#,
        ),
        (
            r#"[source.track]
secret = """#,
            r#"error: `source.track.secret` is empty
 --> config.toml:2:10
  |
2 | secret = ""
  |          ^^
  |
  = help: it is the secret of the subscription at Track, which is never empty"#,
        ),
        (
            r#"[source.track]
secret = { env = "TRACK_SECRET" }"#,
            r#"error: `source.track.secret`: the environment variable `TRACK_SECRET` is not set
 --> config.toml:2:18
  |
2 | secret = { env = "TRACK_SECRET" }
  |                  ^^^^^^^^^^^^^^
  |
  = help: it must be set where the daemon is started"#,
        ),
        (
            r#"[source.track]
secret = "hunter2\n""#,
            r#"warning: `source.track.secret` begins or ends with white space
 --> config.toml:2:10
  |
2 | secret = "*********"
  |          ^^^^^^^^^^^
  |
  = help: it is part of the secret as it stands; if Track's has none, no signature will match"#,
        ),
        (
            r#"[source."a/b"]
secret = "hunter2""#,
            r#"error: the name of the source `a/b` cannot stand in a URL
 --> config.toml:1:9
  |
1 | [source."a/b"]
  |         ^^^^^
  |
  = help: use letters a to z, digits, `-` and `_`: Track delivers to `/track/NAME`"#,
        ),
        (
            r#"[source.events]
secret = "hunter2""#,
            r#"error: a source cannot be named `events`
 --> config.toml:1:9
  |
1 | [source.events]
  |         ^^^^^^
  |
  = help: metrics count what comes to `POST /events` under that name"#,
        ),
    ]);
    assert_eq!(
        said("[source.track]\nsecret = \"a b\"\n[source.Track-2_]\nsecret = { file = \"there.wasm\" }\n"),
        ""
    );
}
