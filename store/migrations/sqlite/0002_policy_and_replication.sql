-- Only additions: the previous binary runs on this schema, and what it writes reads as it meant it.

-- A secret's resource policy: the text as it was given. Read and judged before it is stored.
CREATE TABLE policy (
    secret_id INTEGER PRIMARY KEY REFERENCES secret (id) ON DELETE CASCADE,
    document  TEXT    NOT NULL
) STRICT;

-- The regions a secret was asked to be replicated to, and what came of it.
CREATE TABLE replica (
    secret_id  INTEGER NOT NULL REFERENCES secret (id) ON DELETE CASCADE,
    region     TEXT    NOT NULL,
    kms_key_id TEXT,                               -- NULL: the default key of that region
    status     TEXT    NOT NULL,
    message    TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (secret_id, region)
) STRICT;

-- What AWS calls a managed external secret. Nothing here acts on it.
CREATE TABLE external (
    secret_id INTEGER PRIMARY KEY REFERENCES secret (id) ON DELETE CASCADE,
    kind      TEXT,
    metadata  TEXT    NOT NULL DEFAULT '[]',       -- JSON: pairs of key and value, in the order given
    role_arn  TEXT
) STRICT;

-- The KmsKeyId a version was written under. Empty: the default key. NULL: the secret's, as earlier binaries have it.
ALTER TABLE version ADD COLUMN kms_key_id TEXT;
