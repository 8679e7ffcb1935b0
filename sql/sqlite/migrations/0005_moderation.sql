CREATE TABLE msgsvc_blocks (
    blocker TEXT NOT NULL,
    blocked TEXT NOT NULL,
    blocked_at TEXT NOT NULL,
    PRIMARY KEY (blocker, blocked)
) WITHOUT ROWID;

CREATE TABLE msgsvc_suspensions (
    username TEXT NOT NULL PRIMARY KEY,
    suspended_at TEXT NOT NULL
) WITHOUT ROWID;

-- Who looked at or changed what, when and why. Append-only.
CREATE TABLE msgsvc_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    reason TEXT,
    request_id TEXT,
    at TEXT NOT NULL
);

CREATE INDEX msgsvc_audit_by_actor ON msgsvc_audit (actor, action, subject, at);

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
