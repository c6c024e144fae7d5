//! Subscriptions, plugins and users.

use super::same;

#[test]
fn subscriptions() {
    same(&[
        (
            r#"[subscription.a]
url_callback = "http://ana:pw@127.0.0.1:3000"
event_filters = ["*.*"]"#,
            r#"error: `url_callback` holds a user name or password
 --> config.toml:2:16
  |
2 | url_callback = "http://******@127.0.0.1:3000"
  |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: take them out; `headers = { authorization = "…" }` sends some"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", action = "x" }]"#,
            r#"error: event filter `*` is not an entity and an action
 --> config.toml:3:18
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                  ^^^
  |
  = help: write "*.*" for every event

error: event filter `project` is not an entity and an action
 --> config.toml:3:23
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                       ^^^^^^^^^
  |
  = help: write "project.*" for every action

error: event filter `created` is not an entity and an action
 --> config.toml:3:34
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                                  ^^^^^^^^^
  |
  = help: write "*.created" for every entity

error: event filter `all` is not an entity and an action
 --> config.toml:3:45
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                                             ^^^^^
  |
  = help: write "entity.action", such as "time_entry.created" or "project.*"

error: unknown entity `tga`
 --> config.toml:3:52
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                                                    ^^^^^^^
  |
  = help: did you mean `tag`?

error: unknown action `remove`
 --> config.toml:3:61
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                                                             ^^^^^^^^^^^^
  |
  = help: Track knows created, updated, deleted and `*`

error: event filter `tag.*` appears more than once
 --> config.toml:3:84
  |
3 | event_filters = ["*", "project", "created", "all", "tga.*", "tag.remove", "tag.*", { entity = "tag", action = "*" }, { entity = "*", ...
  |                                                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: unknown action `x`
 --> config.toml:3:143
  |
3 | ...*", { entity = "tag", action = "*" }, { entity = "*", action = "x" }]
  |                                                                   ^^^
  |
  = help: Track knows created, updated, deleted and `*`"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
headers = { Host = "h", "x y" = "1", x-a = "1", X-A = "2", x-b = "\n" }"#,
            r#"error: header `host` is set by the daemon
 --> config.toml:4:13
  |
4 | headers = { Host = "h", "x y" = "1", x-a = "1", X-A = "2", x-b = "\n" }
  |             ^^^^
  |
  = help: remove it; the signature and the request's framing depend on it

error: "x y" cannot be the name of a header
 --> config.toml:4:25
  |
4 | headers = { Host = "h", "x y" = "1", x-a = "1", X-A = "2", x-b = "\n" }
  |                         ^^^^^
  |
  = help: use letters, digits and `-`

error: header `x-a` appears twice; case makes no difference
 --> config.toml:4:49
  |
4 | headers = { Host = "h", "x y" = "1", x-a = "1", X-A = "2", x-b = "\n" }
  |                                                 ^^^

error: the value of header `x-b` cannot be sent
 --> config.toml:4:66
  |
4 | headers = { Host = "h", "x y" = "1", x-a = "1", X-A = "2", x-b = "\n" }
  |                                                                  ^^^^
  |
  = help: use visible ASCII characters in one line"#,
        ),
        (
            r#"[subscription." "]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]"#,
            r#"error: the name of a subscription must not be empty
 --> config.toml:1:15
  |
1 | [subscription." "]
  |               ^^^"#,
        ),
        (
            r#"[plugin.-x]
path = "there.wasm""#,
            r#"error: the name of a plugin must not begin with `-`, which commands take for an option
 --> config.toml:1:9
  |
1 | [plugin.-x]
  |         ^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
filter = [{ plugin = "mtach" }]
transform = [{ plugin = "nothing" }]
[plugin.match]
path = "there.wasm""#,
            r#"error: no plugin is named `mtach`
 --> config.toml:4:22
  |
4 | filter = [{ plugin = "mtach" }]
  |                      ^^^^^^^
  |
  = help: did you mean `match`?

error: no plugin is named `nothing`
 --> config.toml:5:25
  |
5 | transform = [{ plugin = "nothing" }]
  |                         ^^^^^^^^^
  |
  = help: add a `[plugin.nothing]` table"#,
        ),
    ]);
}

#[test]
fn plugins_and_users() {
    same(&[
        (
            r#"[plugin.p]
path = "gone.wasm"
sha256 = "abc"
limits = { time = "1h", memory = "1kB" }"#,
            r#"error: plugin `p`: `…/gone.wasm` does not exist
 --> config.toml:2:8
  |
2 | path = "gone.wasm"
  |        ^^^^^^^^^^^
  |
  = help: the path is relative to this file

error: `plugin.p.sha256` is not a SHA-256 of 64 hex digits
 --> config.toml:3:10
  |
3 | sha256 = "abc"
  |          ^^^^^
  |
  = help: `sha256sum FILE` prints it

error: `plugin.p.limits.time` must be from 1ms to 10s, not 1h
 --> config.toml:4:19
  |
4 | limits = { time = "1h", memory = "1kB" }
  |                   ^^^^

error: `plugin.p.limits.memory` must be from 64KiB to 256MiB, not 1kB
 --> config.toml:4:34
  |
4 | limits = { time = "1h", memory = "1kB" }
  |                                  ^^^^^"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
user = "anna"
[user.ana]
id = 1
role = "admin""#,
            r#"error: no user is named `anna`
 --> config.toml:4:8
  |
4 | user = "anna"
  |        ^^^^^^
  |
  = help: did you mean `ana`?"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
[user.ana]
id = 1
role = "admin"
[user.bo]
id = 2
role = "admin""#,
            r#"error: subscription `a` belongs to nobody
 --> config.toml:1:15
  |
1 | [subscription.a]
  |               ^
  |
  = help: there are several admins; name its creator as `user`"#,
        ),
        (
            r#"[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]
[user.ana]
id = 1
role = "member""#,
            r#"error: subscription `a` belongs to nobody
 --> config.toml:1:15
  |
1 | [subscription.a]
  |               ^
  |
  = help: no user is an admin; name its creator as `user`"#,
        ),
        (
            r#"[user.ana]
id = 1
role = "admin"
api_token = "same"
[user.bo]
id = 1
role = "member"
api_token = "same""#,
            r#"error: user `ana` has the id 1 already
 --> config.toml:6:6
  |
6 | id = 1
  |      ^

error: user `ana` has the same `api_token`
 --> config.toml:8:13
  |
8 | api_token = "****"
  |             ^^^^^^
  |
  = help: give each user a token of its own"#,
        ),
        (
            r#"[user.ana]
id = 1
role = "admin"
api_token = "two words""#,
            r#"error: `user.ana.api_token` cannot be sent as a user name
 --> config.toml:4:13
  |
4 | api_token = "*********"
  |             ^^^^^^^^^^^
  |
  = help: use visible ASCII characters without `:`"#,
        ),
        (
            r#"[workspace]
id = 7
limit = "free"
[subscription.a]
url_callback = "http://127.0.0.1:3000"
event_filters = ["tag.*", "task.*", "client.*", "project.*"]
[subscription.b]
url_callback = "http://127.0.0.1:3000"
event_filters = ["*.*"]"#,
            r#"error: The limit of 3 event filters for your subscription has been exceeded as you're trying to set 4 filters
 --> config.toml:4:15
  |
4 | [subscription.a]
  |               ^
  |
  = help: list fewer, or another `limit` in `[workspace]`

error: User 0 already reached the limit of 1 enabled subscriptions for workspace 7
 --> config.toml:7:15
  |
7 | [subscription.b]
  |               ^
  |
  = help: set `enabled = false` here, or another `limit` in `[workspace]`"#,
        ),
    ]);
}
