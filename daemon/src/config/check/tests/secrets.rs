//! Secrets, their places, and what is hidden of them.

use super::same;

#[test]
fn secrets() {
    same(&[
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = """#,
            r#"error: `subscription.a.secret` is empty
 --> config.toml:4:10
  |
4 | secret = ""
  |          ^^
  |
  = help: leave the key out to have one made"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = { env = "NOT_SET" }"#,
            r#"error: `subscription.a.secret`: the environment variable `NOT_SET` is not set
 --> config.toml:4:18
  |
4 | secret = { env = "NOT_SET" }
  |                  ^^^^^^^^^
  |
  = help: it must be set where the daemon is started"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = { file = "not/there" }"#,
            r#"error: `subscription.a.secret`: `…/not/there` does not exist
 --> config.toml:4:19
  |
4 | secret = { file = "not/there" }
  |                   ^^^^^^^^^^^
  |
  = help: the path is relative to this file"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = { file = "~/empty" }"#,
            r#"error: `subscription.a.secret`: `…/~/empty` does not exist
 --> config.toml:4:19
  |
4 | secret = { file = "~/empty" }
  |                   ^^^^^^^^^
  |
  = help: `~` means nothing here; write the path in full, or relative to this file"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = { file = "empty" }"#,
            r#"error: `subscription.a.secret`: `…/empty` is empty
 --> config.toml:4:19
  |
4 | secret = { file = "empty" }
  |                   ^^^^^^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = {}"#,
            r#"error: `subscription.a.secret` needs one of `env` and `file`
 --> config.toml:4:10
  |
4 | secret = {}
  |          ^^
  |
  = help: write "text", { env = "NAME" } or { file = "path" }"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = { env = "NAME", file = "path" }"#,
            r#"error: `subscription.a.secret` takes only one of `env` and `file`
 --> config.toml:4:10
  |
4 | secret = { env = "NAME", file = "path" }
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: remove the one that does not hold the secret"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
secret = { evn = "NAME" }"#,
            r#"error: unknown key `evn` in `subscription.a.secret`
 --> config.toml:4:12
  |
4 | secret = { evn = "****" }
  |            ^^^
  |
  = help: did you mean `env`?"#,
        ),
        (
            r#"[subscription.a]
url_callback = "htp://127.0.0.1:3000/?token=hunter2"
event_filters = ["*.*"]"#,
            r#"error: `url_callback` has the scheme `htp`
 --> config.toml:2:16
  |
2 | url_callback = "htp://127.0.0.1:3000/?token=*******"
  |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: use http or https"#,
        ),
    ]);
}
