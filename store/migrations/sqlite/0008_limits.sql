-- Only additions. What an earlier binary writes beside this reads as it meant it: it knows no limits and obeys none.

-- Limits of the installation, its pause, and what is known of its clock. One row. `store copy` takes it along, but for the
-- columns seen_… and clock_…, which are about the machine.
CREATE TABLE fleet (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    settings      TEXT    NOT NULL DEFAULT '{}',   -- JSON of engine::fleet::FleetLimits
    turn          INTEGER NOT NULL DEFAULT 0,      -- who claims writes it first, so that claims take turns
    spent_ms      INTEGER NOT NULL DEFAULT 0,      -- until when the budget of starts is spent
    paused_ms     INTEGER,                         -- since when nothing starts; NULL: it is not paused
    paused_by     TEXT,
    paused_reason TEXT,
    seen_ms       INTEGER,                         -- the wall clock when it was last written down
    seen_boot     TEXT,                            -- of which boot of which machine
    seen_up_ms    INTEGER,                         -- and so long after it
    accepted      INTEGER NOT NULL DEFAULT 0,      -- how often an operator has accepted a clock that had jumped
    clock_ms      INTEGER,                         -- since when a node doubts its clock; NULL: none does
    clock_said    TEXT
) STRICT;
INSERT INTO fleet (id) VALUES (1);

-- Hosts that could not be reached of late. `store copy` leaves it out: it is found out again.
CREATE TABLE target (
    name      TEXT    PRIMARY KEY,                 -- host:port
    failures  INTEGER NOT NULL DEFAULT 0,          -- in a row
    opened_ms INTEGER,                             -- since when its secrets wait; NULL: they do not
    probe_ms  INTEGER NOT NULL DEFAULT 0,          -- when one of them may try again
    probes    INTEGER NOT NULL DEFAULT 0,          -- how many have
    said      TEXT    NOT NULL DEFAULT ''          -- what the last failure was; no secret
) STRICT;
CREATE INDEX target_opened ON target (opened_ms) WHERE opened_ms IS NOT NULL;

-- The host that AWSCURRENT's value is for, as host:port. Empty: none that we know
-- of, or a registered rotator's. NULL: nobody has looked yet, which is
-- what every change of AWSCURRENT leaves behind. `store copy` takes these columns along.
ALTER TABLE rotation ADD COLUMN target TEXT;
-- 1: it is due, and waits because its host has as many rotations as it may have, or is not reached. So that nobody who asks
-- what is due has to pass it over again and again.
ALTER TABLE rotation ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
-- How long the work of a rotation takes, from the last ones. NULL: not known.
ALTER TABLE rotation ADD COLUMN took_ms INTEGER;
-- Nothing starts by schedule inside, as pawl:blackout spells it. NULL: no such times.
ALTER TABLE rotation ADD COLUMN blackouts TEXT;

CREATE INDEX rotation_open_due ON rotation (lane, due_ms, target)
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 0 AND state <> 'idle';
CREATE INDEX rotation_idle_due ON rotation (lane, due_ms, target)
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 0 AND state = 'idle';
CREATE INDEX rotation_open_held ON rotation (target, due_ms)
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state <> 'idle';
CREATE INDEX rotation_idle_held ON rotation (target, due_ms)
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND held = 1 AND state = 'idle';
CREATE INDEX rotation_untargeted ON rotation (due_ms)
    WHERE due_ms IS NOT NULL AND lease_owner IS NULL AND target IS NULL;
