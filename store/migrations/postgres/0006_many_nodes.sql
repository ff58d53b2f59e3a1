-- Whether rotations may start, and what server the store was last seen on. One row. `store copy` leaves it as it is
-- in the store that is copied to.
CREATE TABLE store_mode (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    verify_only BIGINT NOT NULL DEFAULT 0,         -- accounts are probed before anything rotates
    reason      TEXT COLLATE "C" NOT NULL DEFAULT '',
    since_ms    BIGINT,
    system_id   TEXT COLLATE "C",                  -- another one, or another timeline, may have lost what was
    timeline    TEXT COLLATE "C"                   -- acknowledged. NULL: nobody has looked, or it cannot tell
);
INSERT INTO store_mode (id) VALUES (1);

-- How often what every node keeps in memory has changed. One row; `store copy` leaves it as it is.
CREATE TABLE generation (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    access_keys BIGINT NOT NULL DEFAULT 0,         -- keys and principals
    rotators    BIGINT NOT NULL DEFAULT 0
);
INSERT INTO generation (id) VALUES (1);
