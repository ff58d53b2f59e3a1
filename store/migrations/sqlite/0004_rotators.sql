-- Rotators that an operator registered: webhooks and AWS rotation functions.
CREATE TABLE rotator (
    name       TEXT    PRIMARY KEY,
    settings   TEXT    NOT NULL,                   -- JSON of engine::registration::Settings; no secrets
    sealed     BLOB    NOT NULL,                   -- its keys
    disabled   INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;

-- The registered rotator that serves the secret; empty: a built-in one. Each lane has its own room in the queue, so that
-- one slow receiver delays nobody else.
ALTER TABLE rotation ADD COLUMN lane TEXT NOT NULL DEFAULT '';
CREATE INDEX rotation_lane_due ON rotation (lane, due_ms, lease_owner) WHERE due_ms IS NOT NULL;
CREATE INDEX rotation_lane ON rotation (lane) WHERE lane <> '';

-- How long the lease is that is held: of another boot only that is known. NULL: as long as any.
ALTER TABLE rotation ADD COLUMN lease_ms INTEGER;

-- Which registered rotator a step was sent to, and the HTTP status of its answer: history is the list of deliveries, too.
ALTER TABLE history ADD COLUMN rotator TEXT;
ALTER TABLE history ADD COLUMN status INTEGER;
CREATE INDEX history_rotator ON history (rotator, id) WHERE rotator IS NOT NULL;
