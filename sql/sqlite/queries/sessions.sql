-- name: select_session
-- The account that a live session stands for, with the role and suspension of this moment.
SELECT
    s.username,
    u.role,
    EXISTS (SELECT 1 FROM msgsvc_suspensions AS x WHERE x.username = s.username),
    s.id,
    s.created_at,
    s.last_used_at
FROM msgsvc_sessions AS s
INNER JOIN users AS u ON u.username = s.username AND u.username = s.username COLLATE BINARY
WHERE s.token_hash = :token_hash AND s.last_used_at > :idle_since AND s.created_at > :started_since;

-- name: select_account
-- The account of a name that a host vouches for.
SELECT u.username, u.role, EXISTS (SELECT 1 FROM msgsvc_suspensions AS x WHERE x.username = u.username)
FROM users AS u
WHERE u.username = :username AND u.username = :username COLLATE BINARY;

-- name: update_session_used
-- Moves the idle limit.
UPDATE msgsvc_sessions SET last_used_at = :now WHERE id = :id;

-- name: insert_session
-- A new session.
INSERT INTO msgsvc_sessions (token_hash, username, created_at, last_used_at)
VALUES (:token_hash, :username, :now, :now);

-- name: delete_surplus_sessions
-- What has expired, and the oldest beyond the cap.
DELETE FROM msgsvc_sessions
WHERE username = :username
    AND (
        last_used_at <= :idle_since
        OR created_at <= :started_since
        OR id NOT IN (SELECT id FROM msgsvc_sessions WHERE username = :username ORDER BY id DESC LIMIT :cap)
    );

-- name: delete_session
-- Logout.
DELETE FROM msgsvc_sessions WHERE id = :id;

-- name: delete_sessions_by_username
-- All sessions of an account but the one kept; none is kept where :kept_id is null.
DELETE FROM msgsvc_sessions WHERE username = :username AND id IS NOT :kept_id;

-- name: select_password_hash
-- No row where the account has no password.
SELECT c.password_hash
FROM msgsvc_credentials AS c
INNER JOIN users AS u ON u.username = c.username AND u.username = c.username COLLATE BINARY
WHERE c.username = :username;

-- name: insert_login_attempt
-- Counts an attempt before the password is looked at; no row where the limit of the running window is reached.
INSERT INTO msgsvc_login_attempts (subject, attempts, window_started_at)
VALUES (:subject, 1, :now)
ON CONFLICT (subject) DO UPDATE SET
    attempts = CASE WHEN window_started_at <= :window_since THEN 1 ELSE attempts + 1 END,
    window_started_at = CASE WHEN window_started_at <= :window_since THEN :now ELSE window_started_at END,
    is_closed = 0
WHERE window_started_at <= :window_since OR attempts < :limit
RETURNING attempts;

-- name: select_login_window
-- When the running window began.
SELECT window_started_at FROM msgsvc_login_attempts WHERE subject = :subject;

-- name: update_login_window_closed
-- Changes a row only at the first refusal of a window.
UPDATE msgsvc_login_attempts SET is_closed = 1 WHERE subject = :subject AND NOT is_closed;

-- name: update_login_attempt_taken_back
-- Neither a right password nor one that nobody looked at counts against the address it came from.
UPDATE msgsvc_login_attempts SET attempts = attempts - 1 WHERE subject = :subject;

-- name: delete_login_attempts
-- A right password opens the account's own window again.
DELETE FROM msgsvc_login_attempts WHERE subject = :subject;

-- name: delete_ended_login_windows
-- A few at a time.
DELETE FROM msgsvc_login_attempts
WHERE subject IN (
    SELECT subject
    FROM msgsvc_login_attempts
    WHERE window_started_at <= :window_since
    ORDER BY window_started_at
    LIMIT 10
);
