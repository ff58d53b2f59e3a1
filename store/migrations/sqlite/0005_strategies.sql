-- What rotated in place before this migration goes on doing so: nothing changes by an upgrade.
UPDATE rotation SET options = json_set(options, '$.strategy', 'single-user') WHERE configured = 1 AND lane = '';

-- Who last read which version of a secret, and for how long they say they keep it.
CREATE TABLE reader (
    secret_id     INTEGER NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
    principal     TEXT    NOT NULL,
    version_id    TEXT,                            -- NULL: declared, and nothing read yet
    read_ms       INTEGER,
    cache_seconds INTEGER,                         -- NULL: not declared
    PRIMARY KEY (secret_id, principal)
) STRICT;

-- When AWSCURRENT is tried next (NULL: not planned), and what came of the last try (JSON; NULL: never tried).
ALTER TABLE rotation ADD COLUMN verify_ms INTEGER;
ALTER TABLE rotation ADD COLUMN verified TEXT;
CREATE INDEX rotation_verify ON rotation (verify_ms) WHERE verify_ms IS NOT NULL;
CREATE INDEX rotation_drifted ON rotation (secret_id) WHERE live = 1 AND verified LIKE '%"drifted":true%';

-- The account that a version's value is for, as a digest: one account under two secrets is noticed by it. NULL: nobody
-- has looked yet, which is what an earlier binary leaves behind. Empty: not a database's value.
ALTER TABLE version ADD COLUMN account TEXT;
CREATE INDEX version_account ON version (account) WHERE account IS NOT NULL AND account <> '';
CREATE INDEX version_unseen_account ON version (secret_id)
    WHERE account IS NULL AND (sealed IS NOT NULL OR candidate IS NOT NULL);
