-- When the session ends unless it is used before, by the limits that were in force when it was last used: a longer
-- limit that is set later never revives it. The settings allow no limit above a year; a start shortens it to theirs.
ALTER TABLE msgsvc_sessions ADD COLUMN ends_at INTEGER NOT NULL DEFAULT 0;
UPDATE msgsvc_sessions SET ends_at = created_at + 31536000;

CREATE INDEX msgsvc_sessions_by_end ON msgsvc_sessions (ends_at);
CREATE INDEX msgsvc_sessions_by_use ON msgsvc_sessions (last_used_at);

-- must_change: nothing but a new password is open to the account. Its owner's changes are counted from changes_since.
ALTER TABLE msgsvc_credentials ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE msgsvc_credentials ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE msgsvc_credentials ADD COLUMN changes_since INTEGER NOT NULL DEFAULT 0;

-- Where each account has logged in from. Times are seconds since the epoch.
CREATE TABLE msgsvc_login_addresses (
    username TEXT NOT NULL,
    address TEXT NOT NULL,
    last_login_at INTEGER NOT NULL,
    PRIMARY KEY (username, address)
) WITHOUT ROWID;

CREATE INDEX msgsvc_login_addresses_by_time ON msgsvc_login_addresses (username, last_login_at);

-- What people type as a name may be a password, so a name that nobody has is counted by its hash.
DELETE FROM msgsvc_login_attempts
WHERE subject LIKE 'user:%' AND NOT EXISTS (SELECT 1 FROM users AS u WHERE u.username = substr(subject, 6));

-- Deleting an account by SQL ends its access too. Suspension and blocks stay: a host may change a row by deleting and
-- inserting it, and that must not lift them.
CREATE TRIGGER msgsvc_users_after_delete AFTER DELETE ON users
BEGIN
    DELETE FROM msgsvc_sessions WHERE username = old.username;
    DELETE FROM msgsvc_credentials WHERE username = old.username;
END;

DELETE FROM msgsvc_sessions WHERE NOT EXISTS (SELECT 1 FROM users AS u WHERE u.username = msgsvc_sessions.username);

DELETE FROM msgsvc_credentials
WHERE NOT EXISTS (SELECT 1 FROM users AS u WHERE u.username = msgsvc_credentials.username);

CREATE INDEX msgsvc_blocks_by_blocked ON msgsvc_blocks (blocked);

-- A row is about its subject, or about the two participants of the conversation that was looked at. The actor is an
-- account or null; the source is api, command line, settings or login.
CREATE TABLE msgsvc_audit_before AS
SELECT id, actor, action, subject, reason, request_id, at FROM msgsvc_audit;

DROP TABLE msgsvc_audit;

CREATE TABLE msgsvc_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    actor TEXT,
    source TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    participant_a TEXT,
    participant_b TEXT,
    reason TEXT,
    request_id TEXT,
    at TEXT NOT NULL
);

-- Older rows: those of the API have a request id; the others had their source as the actor.
INSERT INTO msgsvc_audit (id, actor, source, action, subject, reason, request_id, at)
SELECT
    id,
    CASE
        WHEN action = 'login_throttled' THEN NULL
        WHEN request_id IS NULL AND actor IN ('command line', 'settings') THEN NULL
        ELSE actor
    END,
    CASE
        WHEN action = 'login_throttled' THEN 'login'
        WHEN request_id IS NULL AND actor IN ('command line', 'settings') THEN actor
        ELSE 'api'
    END,
    action,
    CASE
        WHEN action <> 'login_throttled' THEN subject
        WHEN subject LIKE 'user:%' THEN (SELECT u.username FROM users AS u WHERE u.username = substr(subject, 6))
    END,
    CASE WHEN action = 'login_throttled' AND subject LIKE 'address:%' THEN 'from ' || substr(subject, 9) ELSE reason END,
    request_id,
    at
FROM msgsvc_audit_before;

DROP TABLE msgsvc_audit_before;

-- "a and b" is split only where it can be read in one way; else the text stays as it was.
UPDATE msgsvc_audit
SET
    participant_a = substr(subject, 1, instr(subject, ' and ') - 1),
    participant_b = substr(subject, instr(subject, ' and ') + 5),
    subject = NULL
WHERE action = 'conversation_viewed'
    AND instr(subject, ' and ') > 0
    AND instr(substr(subject, instr(subject, ' and ') + 1), ' and ') = 0;

CREATE INDEX msgsvc_audit_by_actor ON msgsvc_audit (actor, action, subject, at);
CREATE INDEX msgsvc_audit_of_actor ON msgsvc_audit (actor);
CREATE INDEX msgsvc_audit_of_action ON msgsvc_audit (action);
CREATE INDEX msgsvc_audit_of_subject ON msgsvc_audit (subject);
CREATE INDEX msgsvc_audit_of_participant_a ON msgsvc_audit (participant_a);
CREATE INDEX msgsvc_audit_of_participant_b ON msgsvc_audit (participant_b);

CREATE TRIGGER msgsvc_audit_refuse_update BEFORE UPDATE ON msgsvc_audit
BEGIN
    SELECT raise(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER msgsvc_audit_refuse_delete BEFORE DELETE ON msgsvc_audit
BEGIN
    SELECT raise(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER msgsvc_audit_refuse_replace BEFORE INSERT ON msgsvc_audit
WHEN EXISTS (SELECT 1 FROM msgsvc_audit WHERE id = new.id)
BEGIN
    SELECT raise(ABORT, 'the audit is append-only');
END;
