-- Who may do what. An access key belongs to a principal by its name; the principal's role and scope are here.
CREATE TABLE principal (
    name       TEXT    PRIMARY KEY,
    role       TEXT    NOT NULL,                   -- administrator, reader or rotator
    prefixes   TEXT    NOT NULL DEFAULT '[]',      -- JSON list: names of secrets may begin with these
    secrets    TEXT    NOT NULL DEFAULT '[]',      -- JSON list: these are named exactly
    created_ms INTEGER NOT NULL
) STRICT;
INSERT INTO principal (name, role, created_ms) VALUES ('admin', 'administrator', 0);
CREATE INDEX access_key_principal ON access_key (principal);

-- The secret that a version's value names as its admin (masterarn). NULL: nobody has looked yet, which is what an
-- earlier binary leaves behind. Empty: none.
ALTER TABLE version ADD COLUMN masterarn TEXT;
CREATE INDEX version_masterarn ON version (masterarn) WHERE masterarn IS NOT NULL AND masterarn <> '';
CREATE INDEX version_unseen ON version (secret_id) WHERE masterarn IS NULL AND (sealed IS NOT NULL OR candidate IS NOT NULL);
