-- Times are milliseconds since 1970 UTC (`_ms`), except lease_until_ms: milliseconds since the machine's boot.
-- PostgreSQL will differ in types only: BIGINT, BOOLEAN, BYTEA and an identity column.

-- Shows whether a keyring belongs to this store. One row.
CREATE TABLE store_check (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    store_id   TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE secret (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused
    arn         TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    token       TEXT    NOT NULL,                  -- of CreateSecret: repeats of it are recognised
    description TEXT,
    kms_key_id  TEXT,
    data_key    BLOB    NOT NULL,                  -- wrapped by the keyring
    tagged      INTEGER NOT NULL DEFAULT 0,        -- has been tagged, though no tag may be left
    created_ms  INTEGER NOT NULL,
    changed_ms  INTEGER NOT NULL,
    accessed_ms INTEGER,
    rotated_ms  INTEGER,
    deleted_ms  INTEGER,                           -- when it really goes; NULL while nobody deleted it
    gone        INTEGER NOT NULL DEFAULT 0         -- deleted for good; kept for its unresolved candidates alone
) STRICT;
CREATE UNIQUE INDEX secret_name ON secret (name) WHERE gone = 0;
CREATE INDEX secret_created ON secret (created_ms, id);
CREATE INDEX secret_deleted ON secret (deleted_ms) WHERE deleted_ms IS NOT NULL;

CREATE TABLE tag (
    secret_id INTEGER NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
    tag_key   TEXT    NOT NULL,
    tag_value TEXT    NOT NULL,
    seq       INTEGER NOT NULL,                    -- order of insertion
    PRIMARY KEY (secret_id, tag_key)
) STRICT;

-- Every value that was ever sent to a target, or may have been. No label, pruning, cancel or delete removes an
-- unresolved one; so this table does not refer to version.
CREATE TABLE candidate (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- newest last
    secret_id   INTEGER NOT NULL REFERENCES secret (id),
    version_id  TEXT    NOT NULL,
    n           INTEGER NOT NULL CHECK (n > 0),
    kind        TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    created_ms  INTEGER NOT NULL,
    resolved_ms INTEGER,
    UNIQUE (secret_id, version_id, n)
) STRICT;
CREATE INDEX candidate_unresolved ON candidate (secret_id, id) WHERE resolved_ms IS NULL;

-- A version holds its own sealed value, or shows a candidate's, or (a rotation's placeholder) has none yet.
CREATE TABLE version (
    secret_id   INTEGER NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
    version_id  TEXT    NOT NULL,
    kind        TEXT,
    sealed      BLOB,
    candidate   INTEGER,
    created_ms  INTEGER NOT NULL,                  -- when it got its value
    accessed_ms INTEGER,
    PRIMARY KEY (secret_id, version_id),
    CHECK (sealed IS NULL OR candidate IS NULL)
) STRICT;
CREATE INDEX version_created ON version (secret_id, created_ms, version_id);

CREATE TABLE label (
    secret_id  INTEGER NOT NULL,
    label      TEXT    NOT NULL,
    version_id TEXT    NOT NULL,
    PRIMARY KEY (secret_id, label),
    FOREIGN KEY (secret_id, version_id) REFERENCES version (secret_id, version_id)
) STRICT;
CREATE INDEX label_version ON label (secret_id, version_id);

-- One row a secret: how it is to be rotated, where its rotation stands, when something is due, who holds the lease.
CREATE TABLE rotation (
    secret_id        INTEGER PRIMARY KEY REFERENCES secret (id) ON DELETE CASCADE,
    live             INTEGER NOT NULL DEFAULT 1,   -- the secret is neither deleted nor about to be
    configured       INTEGER NOT NULL DEFAULT 0,
    enabled          INTEGER NOT NULL DEFAULT 0,
    builtin          INTEGER NOT NULL DEFAULT 0,
    rotator          TEXT,
    rules            TEXT,                         -- JSON of engine::schedule::Rules
    time_zone        TEXT,
    options          TEXT    NOT NULL DEFAULT '{}',-- JSON of engine::port::Options
    state            TEXT    NOT NULL DEFAULT 'idle',
    body             TEXT    NOT NULL DEFAULT '{"state":"idle"}', -- JSON of engine::rotation::Rotation
    paused           INTEGER NOT NULL DEFAULT 0,
    base_ms          INTEGER,                      -- what schedules count from
    current_ms       INTEGER,                      -- when AWSCURRENT's version got its value
    window_opens_ms  INTEGER,
    window_closes_ms INTEGER,
    due_ms           INTEGER,                      -- NULL: nothing is to be done
    fence            INTEGER NOT NULL DEFAULT 0,
    lease_owner      TEXT,
    lease_boot       TEXT,
    lease_until_ms   INTEGER
) STRICT;
CREATE INDEX rotation_due ON rotation (due_ms, lease_owner, state, window_closes_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX rotation_leased ON rotation (lease_until_ms) WHERE lease_owner IS NOT NULL;
CREATE INDEX rotation_open ON rotation (state) WHERE live = 1 AND state <> 'idle';
CREATE INDEX rotation_enabled ON rotation (current_ms) WHERE live = 1 AND enabled = 1;

CREATE TABLE history (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    secret_id  INTEGER NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
    token      TEXT,
    kind       TEXT    NOT NULL,
    step       TEXT,
    attempt    INTEGER NOT NULL DEFAULT 0,
    actor      TEXT,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER,
    verdict    TEXT,
    message    TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX history_secret ON history (secret_id, id);
CREATE INDEX history_under_way ON history (secret_id, id) WHERE kind = 'step' AND ended_ms IS NULL;

CREATE TABLE access_key (
    access_key_id TEXT    PRIMARY KEY,
    principal     TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    enabled       INTEGER NOT NULL DEFAULT 1,
    created_ms    INTEGER NOT NULL
) STRICT;
