-- Whether rotations may start, and what server the store was last seen on. One row. `store copy` leaves it as it is
-- in the store that is copied to.
CREATE TABLE store_mode (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    verify_only INTEGER NOT NULL DEFAULT 0,        -- accounts are probed before anything rotates
    reason      TEXT    NOT NULL DEFAULT '',
    since_ms    INTEGER,
    system_id   TEXT,                              -- PostgreSQL's: another one, or another timeline, may have lost
    timeline    TEXT                               -- what was acknowledged. NULL: nobody has looked, or it cannot tell
) STRICT;
INSERT INTO store_mode (id) VALUES (1);

-- How often what every node keeps in memory has changed. One row; `store copy` leaves it as it is.
CREATE TABLE generation (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    access_keys INTEGER NOT NULL DEFAULT 0,        -- keys and principals
    rotators    INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO generation (id) VALUES (1);
