-- What happened, for those who want to be told. Only additions: the previous binary runs on this schema; what it does
-- leaves no events.

-- The outbox: written with the change it tells of, and pruned by age and number. `store copy` copies it whole, with its
-- positions, so that whoever follows it goes on. It does not refer to secret: an event outlives its secret.
CREATE TABLE event (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id  TEXT    NOT NULL UNIQUE,             -- a UUID; receivers know repeats by it
    secret_id INTEGER NOT NULL,                    -- 0: of no secret
    seq       INTEGER NOT NULL,                    -- order within the secret, without gaps
    pos       INTEGER,                             -- order of all, given after the commit; NULL until then
    kind      TEXT    NOT NULL,
    arn       TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    at_ms     INTEGER NOT NULL,
    facts     TEXT    NOT NULL,                    -- JSON of store::Facts; never a value
    UNIQUE (secret_id, seq)
) STRICT;
CREATE UNIQUE INDEX event_pos ON event (pos) WHERE pos IS NOT NULL;
CREATE INDEX event_unpublished ON event (id) WHERE pos IS NULL;
CREATE INDEX event_at ON event (at_ms);

-- The last seq of each secret. Whoever writes an event holds this row until it commits: that is the order. `store copy`
-- copies it with the secrets.
CREATE TABLE event_head (
    secret_id INTEGER PRIMARY KEY,
    seq       INTEGER NOT NULL
) STRICT;

-- The last position that was given. One row. `store copy` copies it.
CREATE TABLE event_log (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    pos INTEGER NOT NULL
) STRICT;
INSERT INTO event_log (id, pos) VALUES (1, 0);

-- Who is told. `store copy` copies it; its keys are sealed by the keyring and bound to name and settings.
CREATE TABLE subscription (
    name       TEXT    PRIMARY KEY,
    settings   TEXT    NOT NULL,                   -- JSON of engine::subscription::Settings; no secrets
    sealed     BLOB    NOT NULL,                   -- its keys
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    pos        INTEGER NOT NULL,                   -- events up to here are in its queues
    missed     INTEGER NOT NULL DEFAULT 0          -- events that were pruned before it was told
) STRICT;

-- How far a subscription was told of one secret. `store copy` copies it, without the leases.
CREATE TABLE event_queue (
    subscription   TEXT    NOT NULL REFERENCES subscription (name) ON DELETE CASCADE,
    secret_id      INTEGER NOT NULL,
    seq            INTEGER NOT NULL,               -- done with, up to here
    due_ms         INTEGER,                        -- NULL: nothing waits
    attempt        INTEGER NOT NULL DEFAULT 0,     -- failures in a row
    since_ms       INTEGER NOT NULL,               -- since when it waits without a success
    fence          INTEGER NOT NULL DEFAULT 0,
    lease_boot     TEXT,
    lease_until_ms INTEGER,
    PRIMARY KEY (subscription, secret_id)
) STRICT;
CREATE INDEX event_queue_due ON event_queue (subscription, due_ms) WHERE due_ms IS NOT NULL;

-- What could not be delivered. `store copy` copies it.
CREATE TABLE dead_letter (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT    NOT NULL REFERENCES subscription (name) ON DELETE CASCADE,
    event_id     TEXT    NOT NULL,
    secret_id    INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    pos          INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    arn          TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    at_ms        INTEGER NOT NULL,
    facts        TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    failed_ms    INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    due_ms       INTEGER,                          -- it is to be sent once more
    UNIQUE (subscription, event_id)
) STRICT;
CREATE INDEX dead_letter_due ON dead_letter (subscription, due_ms) WHERE due_ms IS NOT NULL;
