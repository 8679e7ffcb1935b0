-- name: insert_message
-- Both people exist: the foreign keys hold, and the sending rule was decided in the same transaction.
-- select_sending_facts has locked the conversation before the id is drawn, so its ids become visible in their order.
-- The flags are named because a table that Django made has no defaults, and are of either type there. Its times may have
-- no time zone; the cast converts to either type.
INSERT INTO messages (
    sender_username, recipient_username, subject, content, sent_at, created_at,
    is_read, is_deleted_by_sender, is_deleted_by_recipient
)
VALUES (
    :sender, :recipient, :subject, :content, CAST(:now AS timestamptz), CAST(:now AS timestamptz), '0', '0', '0'
)
RETURNING id;

-- name: upsert_send_limit
-- Uses up one interval of the sender's allowance; no row where the burst is spent.
-- More than the burst cannot be used up: then a wrong clock wrote the time, and the allowance begins anew.
INSERT INTO msgsvc_send_limits AS l (sender, used_up_to)
VALUES (:sender, CAST(:now AS double precision) + :interval)
ON CONFLICT (sender) DO UPDATE SET
    used_up_to = CASE
        WHEN l.used_up_to BETWEEN CAST(:now AS double precision) AND CAST(:now AS double precision) + :burst
            THEN l.used_up_to
        ELSE :now
    END + :interval
WHERE l.used_up_to <= CAST(:now AS double precision) + :tolerance
    OR l.used_up_to > CAST(:now AS double precision) + :burst
RETURNING used_up_to;

-- name: select_send_limit
-- Until when the allowance is used up.
SELECT used_up_to FROM msgsvc_send_limits WHERE sender = :sender;

-- name: select_idempotency_key
-- A key holds for 24 hours, also one that a wrong clock stored up to 24 hours in the future.
-- Whoever else uses it waits until this use has ended.
-- A row that is found is locked: that is written to the log, so the commit of a replay waits for a synchronous standby
-- too. The commit that stored the key may have been cut off in that wait, and the replay acknowledges the message.
SELECT pg_advisory_xact_lock(hashtextextended('msgsvc key ' || CAST(:sender AS text) || ' ' || CAST(:key AS text), 0));
SELECT body_digest, message_id, sent_at
FROM msgsvc_idempotency_keys
WHERE sender = :sender AND idempotency_key = :key AND created_at > :expired_at AND created_at <= :believed_until
FOR UPDATE;

-- name: insert_idempotency_key
-- Takes the place of an expired one.
INSERT INTO msgsvc_idempotency_keys (sender, idempotency_key, body_digest, message_id, sent_at, created_at)
VALUES (:sender, :key, :body_digest, :message_id, :sent_at, :created_at)
ON CONFLICT (sender, idempotency_key) DO UPDATE SET
    body_digest = excluded.body_digest,
    message_id = excluded.message_id,
    sent_at = excluded.sent_at,
    created_at = excluded.created_at;

-- name: delete_expired_idempotency_keys
-- A few at a time, so that no send pays for all that came before it. What another writer deletes is left to it.
DELETE FROM msgsvc_idempotency_keys
WHERE (sender, idempotency_key) IN (
    SELECT sender, idempotency_key
    FROM msgsvc_idempotency_keys
    WHERE created_at <= :expired_at
    ORDER BY created_at
    LIMIT 10
    FOR UPDATE SKIP LOCKED
);

-- name: update_message_read
-- Only the recipient who still sees it, for the first time.
UPDATE messages
SET is_read = '1', read_at = :now
WHERE id = :id
    AND read_at IS NULL
    AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller AND NOT v.is_sent);

-- name: update_message_read_again
-- Where a host has made it unread since; the first read_at stands.
UPDATE messages
SET is_read = '1'
WHERE id = :id
    AND NOT msgsvc_is_set(is_read)
    AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller AND NOT v.is_sent);

-- name: update_message_hidden
-- Hides the caller's own side; deleted_at is set where the other side is hidden already.
-- The row itself is looked at, not the view: of two who hide at once, the second sees what the first did.
UPDATE messages
SET
    is_deleted_by_sender = CASE WHEN sender_username::text = :caller THEN '1' ELSE is_deleted_by_sender END,
    is_deleted_by_recipient = CASE WHEN recipient_username::text = :caller THEN '1' ELSE is_deleted_by_recipient END,
    deleted_at = CASE
        WHEN (sender_username::text = :caller OR msgsvc_is_set(is_deleted_by_sender))
            AND (recipient_username::text = :caller OR msgsvc_is_set(is_deleted_by_recipient))
            THEN CAST(:now AS timestamptz)
    END
WHERE id = :id
    AND (
        (sender_username::text COLLATE "C" = :caller AND msgsvc_sees(deleted_at, is_deleted_by_sender))
        OR (recipient_username::text COLLATE "C" = :caller AND msgsvc_sees(deleted_at, is_deleted_by_recipient))
    );

-- name: select_message_access
-- Is the caller a participant, do they still see the message, are they the recipient, and when was it read.
SELECT
    CAST(:caller AS text) IN (sender_username::text, recipient_username::text),
    EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id AND v.owner = :caller),
    recipient_username::text = :caller,
    read_at
FROM messages
WHERE id = :id AND EXISTS (SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = :id);

-- name: delete_send_limit
-- The allowance of the sender begins anew.
DELETE FROM msgsvc_send_limits WHERE sender = :username;

-- name: delete_idempotency_keys_by_sender
-- All keys of the sender.
DELETE FROM msgsvc_idempotency_keys WHERE sender = :username;
