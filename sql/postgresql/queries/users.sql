-- name: insert_user
-- Nothing is inserted where the name is taken.
INSERT INTO users (username, role) VALUES (:username, :role) ON CONFLICT DO NOTHING;

-- name: upsert_password
-- The only password of the account.
INSERT INTO msgsvc_credentials (username, password_hash, must_change)
VALUES (:username, :password_hash, :must_change)
ON CONFLICT (username) DO UPDATE SET password_hash = excluded.password_hash, must_change = excluded.must_change;

-- name: update_password_changes
-- Counts a change by the owner; no row where the limit of the running hour is reached.
UPDATE msgsvc_credentials
SET
    changes = CASE WHEN changes_since BETWEEN :hour_ago + 1 AND :now THEN changes + 1 ELSE 1 END,
    changes_since = CASE WHEN changes_since BETWEEN :hour_ago + 1 AND :now THEN changes_since ELSE :now END
WHERE username = :username AND (changes_since NOT BETWEEN :hour_ago + 1 AND :now OR changes < :limit)
RETURNING changes;

-- name: select_password_changes
-- Since when the changes of the owner are counted.
SELECT changes_since FROM msgsvc_credentials WHERE username = :username;

-- name: delete_credentials
-- No password is right any more.
DELETE FROM msgsvc_credentials WHERE username = :username;

-- name: update_role
-- The new role counts from the next request: calls of the account that are under way end first.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc account ' || CAST(:username AS text), 0));
UPDATE users SET role = :role WHERE username = :username AND username::text COLLATE "C" = :username;

-- name: insert_suspension
-- Suspending twice keeps the first time. Calls of the account that are under way end first.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc account ' || CAST(:username AS text), 0));
INSERT INTO msgsvc_suspensions (username, suspended_at) VALUES (:username, :at) ON CONFLICT DO NOTHING;

-- name: delete_suspension
-- Changes no row where there is none.
DELETE FROM msgsvc_suspensions WHERE username = :username;

-- name: count_other_active_admins
-- Who could still administer if this account could not. :roles is a JSON array of the names that mean admin.
-- One at a time may ask.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc last admin', 0));
SELECT count(*)
FROM users AS u
WHERE u.role::text IN (SELECT value FROM jsonb_array_elements_text(CAST(:roles AS jsonb)))
    AND u.username::text COLLATE "C" <> :username
    AND NOT EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = u.username);

-- name: select_users
-- A page of accounts by name, of some roles (a JSON array of their names) or of all; a limit of -1 is none.
SELECT u.username::text, u.role::text, EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = u.username)
FROM users AS u
WHERE CAST(:roles AS jsonb) IS NULL OR u.role::text IN (SELECT value FROM jsonb_array_elements_text(CAST(:roles AS jsonb)))
ORDER BY u.username COLLATE "C"
LIMIT nullif(CAST(:limit AS bigint), -1) OFFSET :offset;

-- name: count_users
-- Of some roles (a JSON array of their names) or of all. Who makes the first account asks alone.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc first account', 0));
SELECT count(*)
FROM users
WHERE CAST(:roles AS jsonb) IS NULL OR role::text IN (SELECT value FROM jsonb_array_elements_text(CAST(:roles AS jsonb)));

-- name: select_ids_of_owner
-- Some of the messages that the person still sees.
SELECT id FROM msgsvc_visible_messages WHERE owner = :username LIMIT :limit;

-- name: update_reply_rights_closed
-- Neither the rights that others gave the person nor those that the person gave.
UPDATE msgsvc_reply_rights SET is_open = 0 WHERE reader = :username OR writer = :username;
