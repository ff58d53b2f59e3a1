-- One row once the store was restored, copied or failed over: verify-only means that accounts are looked at and nothing is
-- changed. `store copy` takes it along.
CREATE TABLE store_mode (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    verify_only BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    since_ms    BIGINT NOT NULL
);
