-- Times are nanoseconds since 1970, in UTC.

-- What must survive although the rows it was counted from may be pruned.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- Rows stay when a subscription is removed, so that no id is given twice.
CREATE TABLE subscriptions (
    id         INTEGER PRIMARY KEY,
    name       TEXT UNIQUE,            -- null: removed
    removed_at INTEGER,
    waiting    INTEGER NOT NULL,       -- rows of it in `waiting`
    standing   TEXT NOT NULL           -- JSON
) STRICT;

CREATE TABLE plans (
    plan    INTEGER PRIMARY KEY,
    summary TEXT NOT NULL
) STRICT;

-- Everything that arrived, as it arrived. The body stands last, so that reading the
-- others does not read it.
CREATE TABLE events (
    seq            INTEGER PRIMARY KEY,
    version        INTEGER NOT NULL,   -- of this record
    event_id       INTEGER NOT NULL,   -- not indexed: see `index.rs`
    arrived_at     INTEGER NOT NULL,
    plan           INTEGER NOT NULL,
    workspace_id   INTEGER,
    entity         TEXT NOT NULL,
    entity_id      INTEGER,
    action         TEXT NOT NULL,
    previous       INTEGER,            -- seq of the entity's event before
    first_delivery INTEGER NOT NULL,   -- of the routes, which count on from it
    routes         TEXT,               -- JSON, what routing decided
    creator_id     INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    created_at     TEXT NOT NULL,      -- as received
    received       BLOB NOT NULL
) STRICT;

-- Deliveries that have not ended, in the order they go out.
CREATE TABLE waiting (
    subscription INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    event_id     INTEGER NOT NULL,
    delivery     INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    lane_order   INTEGER NOT NULL,
    replay       INTEGER NOT NULL,
    tries        INTEGER NOT NULL,     -- attempts so far
    outcome      INTEGER NOT NULL,     -- pending or held
    at           INTEGER,              -- null: when it arrived
    reason       TEXT,
    attempts     TEXT,                 -- JSON
    PRIMARY KEY (subscription, created, event_id, delivery)
) WITHOUT ROWID, STRICT;

-- Deliveries that have ended, and replays from their beginning. Those of an event's
-- routes are found by their ids, replays through `replays`.
CREATE TABLE decisions (
    delivery     INTEGER PRIMARY KEY,
    seq          INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    outcome      INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    replay       INTEGER NOT NULL,
    reason       TEXT,
    attempts     TEXT                  -- JSON
) STRICT;

CREATE TABLE replays (
    seq      INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (seq, delivery)
) WITHOUT ROWID, STRICT;

-- Events whose latest decision for a subscription is one that a replay can mend.
CREATE TABLE mendable (
    subscription INTEGER NOT NULL,
    kind         INTEGER NOT NULL,     -- 0 missed, 1 failed
    seq          INTEGER NOT NULL,
    PRIMARY KEY (subscription, kind, seq)
) WITHOUT ROWID, STRICT;

-- The index of `event_id`s and entities, in parts: see `index.rs`.
CREATE TABLE index_parts (
    part       INTEGER PRIMARY KEY,
    arrived_at INTEGER NOT NULL,       -- the latest
    events     BLOB NOT NULL,          -- filter
    entities   BLOB NOT NULL           -- filter
) STRICT;

CREATE TABLE index_events   (bucket INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE index_entities (bucket INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

-- What the open part holds, so that a start need not read every event of it.
CREATE TABLE index_notes (first_seq INTEGER PRIMARY KEY, notes BLOB NOT NULL) STRICT;
