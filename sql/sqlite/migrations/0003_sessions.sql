-- None of the service's own tables refers to users by a foreign key: a host that replaces a row of its users table
-- would otherwise lift a suspension or a block by cascade, or be refused by a restriction it never asked for.
CREATE TABLE msgsvc_credentials (
    username TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT NOT NULL
) WITHOUT ROWID;

-- Times are seconds since the epoch. The token itself is never stored.
CREATE TABLE msgsvc_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    username TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
);

CREATE INDEX msgsvc_sessions_by_username ON msgsvc_sessions (username);

-- subject is 'user:NAME' or 'address:ADDRESS'; attempts are counted from window_started_at, in seconds since the epoch.
-- is_closed is set at the first refusal, so that the audit records one for each window and not one for each attempt.
CREATE TABLE msgsvc_login_attempts (
    subject TEXT NOT NULL PRIMARY KEY,
    attempts INTEGER NOT NULL,
    window_started_at INTEGER NOT NULL,
    is_closed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX msgsvc_login_attempts_oldest ON msgsvc_login_attempts (window_started_at);
