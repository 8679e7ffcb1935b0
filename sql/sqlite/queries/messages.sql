-- name: insert_message
-- Both people exist: the foreign keys hold, and the sending rule was decided in the same transaction.
-- The flags are named because a table that Django made has no defaults.
INSERT INTO messages (
    sender_username, recipient_username, subject, content, sent_at, created_at,
    is_read, is_deleted_by_sender, is_deleted_by_recipient
)
VALUES (:sender, :recipient, :subject, :content, :now, :now, 0, 0, 0);

-- name: upsert_send_limit
-- Uses up one interval of the sender's allowance; no row where the burst is used up.
-- A time further ahead than the burst was written by a wrong clock, so the allowance is reset.
INSERT INTO msgsvc_send_limits (sender, used_up_to)
VALUES (:sender, :now + :interval)
ON CONFLICT (sender) DO UPDATE SET
    used_up_to = CASE WHEN used_up_to BETWEEN :now AND :now + :burst THEN used_up_to ELSE :now END + :interval
WHERE used_up_to <= :now + :tolerance OR used_up_to > :now + :burst
RETURNING used_up_to;

-- name: select_send_limit
-- Until when the allowance is used up.
SELECT used_up_to FROM msgsvc_send_limits WHERE sender = :sender;

-- name: select_idempotency_key
-- A key is valid for 24 hours, also one that a wrong clock stored up to 24 hours in the future.
SELECT body_digest, message_id, sent_at
FROM msgsvc_idempotency_keys
WHERE sender = :sender AND idempotency_key = :key AND created_at > :expired_at AND created_at <= :believed_until;

-- name: insert_idempotency_key
-- Replaces an expired one.
INSERT INTO msgsvc_idempotency_keys (sender, idempotency_key, body_digest, message_id, sent_at, created_at)
VALUES (:sender, :key, :body_digest, :message_id, :sent_at, :created_at)
ON CONFLICT (sender, idempotency_key) DO UPDATE SET
    body_digest = excluded.body_digest,
    message_id = excluded.message_id,
    sent_at = excluded.sent_at,
    created_at = excluded.created_at;

-- name: delete_expired_idempotency_keys
-- A few at a time, so that no send pays for all that came before it.
DELETE FROM msgsvc_idempotency_keys
WHERE (sender, idempotency_key) IN (
    SELECT sender, idempotency_key
    FROM msgsvc_idempotency_keys
    WHERE created_at <= :expired_at
    ORDER BY created_at
    LIMIT 10
);

-- name: update_message_read
-- Only the recipient who still sees it, for the first time.
UPDATE messages
SET is_read = 1, read_at = :now
WHERE id = :id
    AND read_at IS NULL
    AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller AND NOT v.is_sent);

-- name: update_message_read_again
-- Where a host has made it unread since; the first read_at stands.
UPDATE messages
SET is_read = 1
WHERE id = :id
    AND is_read IS NOT TRUE
    AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller AND NOT v.is_sent);

-- name: update_message_hidden
-- Hides the caller's own side; deleted_at is set where the other side is hidden already.
UPDATE messages
SET
    is_deleted_by_sender
        = CASE WHEN sender_username = :caller COLLATE BINARY THEN 1 ELSE is_deleted_by_sender END,
    is_deleted_by_recipient
        = CASE WHEN recipient_username = :caller COLLATE BINARY THEN 1 ELSE is_deleted_by_recipient END,
    deleted_at = CASE
        WHEN (sender_username = :caller COLLATE BINARY OR is_deleted_by_sender IS TRUE)
            AND (recipient_username = :caller COLLATE BINARY OR is_deleted_by_recipient IS TRUE)
            THEN :now
    END
WHERE id = :id AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller);

-- name: select_message_access
-- Is the caller a participant, do they still see the message, are they the recipient, and when was it read.
SELECT
    :caller IN (sender_username, recipient_username),
    EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller),
    recipient_username = :caller COLLATE BINARY,
    read_at
FROM messages
WHERE id = :id AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id);

-- name: delete_send_limit
-- Resets the allowance of the sender.
DELETE FROM msgsvc_send_limits WHERE sender = :username;

-- name: delete_idempotency_keys_by_sender
-- All keys of the sender.
DELETE FROM msgsvc_idempotency_keys WHERE sender = :username;
