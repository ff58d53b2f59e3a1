-- Only additions: the previous binary runs on this schema.

-- What keeps a secret from rotating since the store may be older than its target. 0: nothing; 1: AWSCURRENT has not been seen to
-- log in since; 2: it has, and the store is verify-only still; 3: not seen, and a person has asked for what is open. While it is
-- held, due_ms is NULL.
ALTER TABLE rotation ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;
CREATE INDEX rotation_unproven ON rotation (unproven, secret_id) WHERE unproven > 0;

-- How often the store was brought back. `store copy` takes it along.
ALTER TABLE store_mode ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- The since_ms of the time that secrets were held for; another one, or NULL: they are to be held yet.
ALTER TABLE store_mode ADD COLUMN held_ms INTEGER;

-- Which keys the nodes of this store have at hand, as they say themselves. `store copy` leaves these rows behind.
CREATE TABLE keyring_node (
    node    TEXT    PRIMARY KEY,
    key_ids TEXT    NOT NULL,                      -- of its keyring, with a space between
    sealing TEXT    NOT NULL,                      -- the key it seals with
    seen_ms INTEGER NOT NULL
) STRICT;

-- There while another store is being copied into this one: nobody serves it until that is done. `store copy` makes and removes
-- the row.
CREATE TABLE store_copy (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    source   TEXT    NOT NULL,
    began_ms INTEGER NOT NULL
) STRICT;
