-- +goose Up
CREATE TABLE ssh_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    public_key  TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    UNIQUE (user_id, fingerprint)
);
CREATE INDEX ssh_keys_by_fingerprint ON ssh_keys (fingerprint);
