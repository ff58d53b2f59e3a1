-- How often what every node keeps in memory has changed. One row; `store copy` leaves it as it is.
CREATE TABLE generation (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    access_keys INTEGER NOT NULL DEFAULT 0,        -- keys and principals
    rotators    INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO generation (id) VALUES (1);

-- The PostgreSQL server that the store was last seen on. Another one, or another timeline of it, may have lost what was
-- acknowledged. No row: nobody has looked, or it cannot tell. `store copy` leaves it as it is.
CREATE TABLE last_server (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    system_id TEXT    NOT NULL,
    timeline  TEXT    NOT NULL
) STRICT;
