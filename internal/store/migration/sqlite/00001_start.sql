-- +goose Up
-- Times are Unix milliseconds, 0 for "not yet"; booleans are 0 and 1; JSON is text.
CREATE TABLE sessions (
    id              TEXT    NOT NULL PRIMARY KEY,
    created_at      INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    image           TEXT    NOT NULL,
    runtime         TEXT    NOT NULL,
    isolation       TEXT    NOT NULL,
    min_isolation   TEXT    NOT NULL,
    vcpu            INTEGER NOT NULL,
    memory_mb       INTEGER NOT NULL,
    width           INTEGER NOT NULL,
    height          INTEGER NOT NULL,
    start_url       TEXT    NOT NULL,
    timeout_ms      INTEGER NOT NULL,
    idle_timeout_ms INTEGER NOT NULL,
    metadata        TEXT    NOT NULL,
    desired         TEXT    NOT NULL,
    stop_reason     TEXT    NOT NULL,
    machine_id      TEXT    NOT NULL UNIQUE,
    address         TEXT    NOT NULL,
    slot            INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    image_digest    TEXT    NOT NULL,
    ready_at        INTEGER NOT NULL,
    ended_at        INTEGER NOT NULL,
    ended_reason    TEXT    NOT NULL,
    failure         TEXT    NOT NULL,
    node            TEXT    NOT NULL,
    boot_id         TEXT    NOT NULL,
    released        INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    idempotency_key TEXT    NOT NULL,
    request_hash    TEXT    NOT NULL
);
-- The lease: no two machines that may exist share a slot.
CREATE UNIQUE INDEX sessions_slot ON sessions (slot) WHERE released = 0;
CREATE UNIQUE INDEX sessions_idempotency ON sessions (user_id, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX sessions_newest ON sessions (created_at, id);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_over ON sessions (ended_at) WHERE released = 1;

CREATE TABLE phases (
    session_id  TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    place       INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (session_id, name)
);

CREATE TABLE consoles (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    data       BLOB NOT NULL
);

CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id    TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    data       TEXT    NOT NULL
);
CREATE INDEX events_of_session ON events (session_id, id);
CREATE INDEX events_of_user ON events (user_id, id);

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE tickets (
    id          TEXT    NOT NULL PRIMARY KEY,
    hash        BLOB    NOT NULL UNIQUE,
    session_id  TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id     TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    redeemed_at INTEGER NOT NULL,
    cookie_hash BLOB    UNIQUE,
    revoked_at  INTEGER NOT NULL
);
CREATE INDEX tickets_of_session ON tickets (session_id);

CREATE TABLE logins (
    hash       BLOB    NOT NULL PRIMARY KEY,
    link       INTEGER NOT NULL,
    user_id    TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
