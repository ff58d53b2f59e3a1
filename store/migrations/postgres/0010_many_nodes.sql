-- How often what every node keeps in memory has changed. One row; `store copy` leaves it as it is.
CREATE TABLE generation (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    access_keys BIGINT NOT NULL DEFAULT 0,         -- keys and principals
    rotators    BIGINT NOT NULL DEFAULT 0
);
INSERT INTO generation (id) VALUES (1);

-- The PostgreSQL server that the store was last seen on. Another one, or another timeline of it, may have lost what was
-- acknowledged. No row: nobody has looked, or it cannot tell. `store copy` leaves it as it is.
CREATE TABLE last_server (
    id        BIGINT PRIMARY KEY CHECK (id = 1),
    system_id TEXT COLLATE "C" NOT NULL,
    timeline  TEXT COLLATE "C" NOT NULL
);
