-- name: select_session
-- The account that a live session stands for, as of this moment. Its own limits count and those of the settings.
-- A time in the future is not believed.
-- Who writes holds the account until the commit, so that nobody suspends, demotes or logs it out in between.
SELECT pg_advisory_xact_lock_shared(hashtextextended('msgsvc account ' || username, 0))
FROM msgsvc_sessions
WHERE token_hash = :token_hash;
SELECT
    s.username,
    u.role::text,
    EXISTS (SELECT 1 FROM msgsvc_suspensions AS x WHERE x.username = s.username),
    EXISTS (SELECT 1 FROM msgsvc_credentials AS c WHERE c.username = s.username AND c.must_change <> 0),
    s.id,
    s.created_at,
    s.last_used_at
FROM msgsvc_sessions AS s
INNER JOIN users AS u ON u.username = s.username AND u.username::text COLLATE "C" = s.username
WHERE s.token_hash = :token_hash
    AND s.ends_at > :now
    AND s.last_used_at > :idle_since
    AND s.created_at > :started_since
    AND s.last_used_at <= :believed_until;

-- name: select_account
-- The account of a name that a host vouches for. It is held as by a session.
SELECT pg_advisory_xact_lock_shared(hashtextextended('msgsvc account ' || CAST(:username AS text), 0));
SELECT u.username::text, u.role::text, EXISTS (SELECT 1 FROM msgsvc_suspensions AS x WHERE x.username = u.username)
FROM users AS u
WHERE u.username = :username AND u.username::text COLLATE "C" = :username;

-- name: update_session_used
-- Moves the idle limit of a session that has not ended meanwhile.
UPDATE msgsvc_sessions
SET last_used_at = :now, ends_at = least(:now + :idle_seconds, created_at + :max_seconds)
WHERE id = :id AND ends_at > :now;

-- name: insert_session
-- A new session.
INSERT INTO msgsvc_sessions (token_hash, username, created_at, last_used_at, ends_at)
VALUES (:token_hash, :username, :now, :now, :now + least(:idle_seconds, :max_seconds));

-- name: delete_surplus_sessions
-- The oldest of the account beyond the cap.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc sessions ' || CAST(:username AS text), 0));
DELETE FROM msgsvc_sessions
WHERE username = :username
    AND id NOT IN (SELECT id FROM msgsvc_sessions WHERE username = :username ORDER BY id DESC LIMIT :cap);

-- name: select_longer_sessions
-- Whether a session may last longer than the settings allow.
SELECT 1
FROM msgsvc_sessions
WHERE ends_at > last_used_at + :idle_seconds OR ends_at > created_at + :max_seconds
LIMIT 1;

-- name: update_longer_sessions
-- Shortens them to what the settings allow.
UPDATE msgsvc_sessions
SET ends_at = least(last_used_at + :idle_seconds, created_at + :max_seconds)
WHERE ends_at > last_used_at + :idle_seconds OR ends_at > created_at + :max_seconds;

-- name: select_ended_sessions
-- Whether there is a session to delete.
(SELECT 1 FROM msgsvc_sessions WHERE ends_at <= :now ORDER BY ends_at LIMIT 1)
UNION ALL
(SELECT 1 FROM msgsvc_sessions WHERE last_used_at > :believed_until ORDER BY last_used_at DESC LIMIT 1)
LIMIT 1;

-- name: delete_ended_sessions
-- A session of the future was opened or used by a wrong clock, and has ended as well.
DELETE FROM msgsvc_sessions WHERE ends_at <= :now OR last_used_at > :believed_until;

-- name: delete_session
-- Logout.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc account ' || username, 0)) FROM msgsvc_sessions WHERE id = :id;
DELETE FROM msgsvc_sessions WHERE id = :id;

-- name: delete_sessions_by_username
-- All sessions of an account but the one kept; none is kept where :kept_id is null.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc account ' || CAST(:username AS text), 0));
DELETE FROM msgsvc_sessions WHERE username = :username AND id IS DISTINCT FROM CAST(:kept_id AS bigint);

-- name: select_password_hash
-- With the flag that it must be changed; no row where the account has no password.
SELECT c.password_hash, c.must_change
FROM msgsvc_credentials AS c
INNER JOIN users AS u ON u.username = c.username AND u.username::text COLLATE "C" = c.username
WHERE c.username = :username;

-- name: insert_login_attempt
-- Counts an attempt before the password is looked at; no row where the limit of the running window is reached.
-- A window that began in the future was opened by a wrong clock and is over.
INSERT INTO msgsvc_login_attempts AS a (subject, attempts, window_started_at)
VALUES (:subject, 1, :now)
ON CONFLICT (subject) DO UPDATE SET
    attempts = CASE WHEN a.window_started_at BETWEEN :window_since + 1 AND :now THEN a.attempts + 1 ELSE 1 END,
    window_started_at = CASE
        WHEN a.window_started_at BETWEEN :window_since + 1 AND :now THEN a.window_started_at ELSE :now
    END,
    is_closed = 0
WHERE a.window_started_at NOT BETWEEN :window_since + 1 AND :now OR a.attempts < :limit
RETURNING attempts;

-- name: select_login_window
-- When the running window began.
SELECT window_started_at FROM msgsvc_login_attempts WHERE subject = :subject;

-- name: update_login_window_closed
-- Changes a row only at the first refusal of a window.
UPDATE msgsvc_login_attempts SET is_closed = 1 WHERE subject = :subject AND is_closed = 0;

-- name: update_login_attempt_taken_back
-- A right password does not count against the address it came from.
UPDATE msgsvc_login_attempts SET attempts = attempts - 1 WHERE subject = :subject AND attempts > 0;

-- name: update_login_attempt_failed
-- Changes nothing: the commit costs an unknown name as much time as the audit row costs an account.
UPDATE msgsvc_login_attempts SET attempts = attempts WHERE subject = :subject;

-- name: select_login_address
-- Whether the account has logged in from the address within the last month.
SELECT 1
FROM msgsvc_login_addresses
WHERE username = :username AND address = :address AND last_login_at BETWEEN :month_ago AND :now;

-- name: upsert_login_address
-- The account has logged in from the address.
INSERT INTO msgsvc_login_addresses (username, address, last_login_at)
VALUES (:username, :address, :now)
ON CONFLICT (username, address) DO UPDATE SET last_login_at = excluded.last_login_at;

-- name: delete_surplus_login_addresses
-- Those of the account that are older than a month, and the oldest beyond the cap.
DELETE FROM msgsvc_login_addresses
WHERE username = :username
    AND (
        last_login_at < :month_ago
        OR address NOT IN (
            SELECT address
            FROM msgsvc_login_addresses
            WHERE username = :username
            ORDER BY last_login_at DESC
            LIMIT :cap
        )
    );

-- name: delete_login_addresses_by_username
-- All of an account.
DELETE FROM msgsvc_login_addresses WHERE username = :username;

-- name: delete_login_attempts
-- A right password opens the account's own window again.
DELETE FROM msgsvc_login_attempts WHERE subject = :subject;

-- name: delete_ended_login_windows
-- A few at a time. What another login deletes is left to it.
DELETE FROM msgsvc_login_attempts
WHERE subject IN (
    SELECT subject
    FROM msgsvc_login_attempts
    WHERE window_started_at <= :window_since
    ORDER BY window_started_at
    LIMIT 10
    FOR UPDATE SKIP LOCKED
);
