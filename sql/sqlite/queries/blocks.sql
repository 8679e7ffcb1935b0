-- name: select_blocks
-- Whom the caller has blocked.
SELECT blocked, blocked_at FROM msgsvc_blocks WHERE blocker = :caller ORDER BY blocked;

-- name: count_blocks
-- How many people the caller has blocked.
SELECT count(*) FROM msgsvc_blocks WHERE blocker = :caller;

-- name: insert_block
-- Blocking twice keeps the first time.
INSERT INTO msgsvc_blocks (blocker, blocked, blocked_at) VALUES (:caller, :username, :now) ON CONFLICT DO NOTHING;

-- name: delete_block
-- Only the caller's own.
DELETE FROM msgsvc_blocks WHERE blocker = :caller AND blocked = :username;

-- name: delete_blocks_of_username
-- By the account and of the account.
DELETE FROM msgsvc_blocks WHERE blocker = :username OR blocked = :username;
