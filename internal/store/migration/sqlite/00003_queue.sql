-- +goose Up
-- What a session's runtime takes of the host beside memory_mb, in bytes.
ALTER TABLE sessions ADD COLUMN overhead_bytes INTEGER NOT NULL DEFAULT 0;
-- Its place among those that wait for room, 1 the next; 0: it does not wait.
ALTER TABLE sessions ADD COLUMN queue_position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN queue_deadline INTEGER NOT NULL DEFAULT 0;
-- Grows with each lease that is lent; 0: none was. Who waits is lent its slot
-- later than younger sessions were, so that created_at does not tell it.
ALTER TABLE sessions ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET lease = created_at;
DROP INDEX sessions_slot;
CREATE UNIQUE INDEX sessions_slot ON sessions (slot) WHERE released = 0 AND slot > 0;
CREATE INDEX sessions_queue ON sessions (queue_position) WHERE queue_position > 0;
CREATE INDEX sessions_lease ON sessions (lease);
