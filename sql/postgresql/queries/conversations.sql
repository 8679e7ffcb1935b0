-- name: select_mailbox
-- The owner's totals, and the version that moves with every change the owner can see.
SELECT total_unread, conversation_count, unread_conversation_count, version
FROM msgsvc_mailboxes
WHERE owner = :caller;

-- name: select_inbox
-- One row for each conversation that the caller still sees, newest first.
-- Pages that are skipped cost a step in the index for each row, and no look at its message.
SELECT
    c.partner,
    coalesce(substr(m.content, 1, CAST(:preview AS integer)), ''),
    m.sent_at,
    c.unread_count,
    m.sender_username::text = c.partner,
    c.partner_role
FROM msgsvc_conversations AS c
INNER JOIN messages AS m ON m.id = c.last_message_id
WHERE c.owner = :caller
    AND c.last_message_id <= (
        SELECT last_message_id
        FROM msgsvc_conversations
        WHERE owner = :caller
        ORDER BY last_message_id DESC
        LIMIT 1 OFFSET :offset
    )
ORDER BY c.last_message_id DESC
LIMIT :limit;

-- name: select_unread_inbox
-- The same, for conversations with unread messages.
SELECT
    c.partner,
    coalesce(substr(m.content, 1, CAST(:preview AS integer)), ''),
    m.sent_at,
    c.unread_count,
    m.sender_username::text = c.partner,
    c.partner_role
FROM msgsvc_conversations AS c
INNER JOIN messages AS m ON m.id = c.last_message_id
WHERE c.owner = :caller
    AND c.unread_count > 0
    AND c.last_message_id <= (
        SELECT last_message_id
        FROM msgsvc_conversations
        WHERE owner = :caller AND unread_count > 0
        ORDER BY last_message_id DESC
        LIMIT 1 OFFSET :offset
    )
ORDER BY c.last_message_id DESC
LIMIT :limit;

-- name: select_messages_up_to
-- What the caller still sees of the conversation, newest first.
-- The whole key of the index is compared and ordered by, so that the planner takes it, however few messages it expects
-- in a conversation.
SELECT id, is_sent, subject, content, is_read, read_at, sent_at
FROM (
    (
        SELECT id, is_sent, subject, content, is_read, read_at, sent_at
        FROM msgsvc_sent_messages
        WHERE (owner, partner) >= (:caller, :partner) AND (owner, partner, id) <= (:caller, :partner, :up_to)
        ORDER BY owner DESC, partner DESC, id DESC
        LIMIT :limit
    )
    UNION ALL
    (
        SELECT id, is_sent, subject, content, is_read, read_at, sent_at
        FROM msgsvc_received_messages
        WHERE (owner, partner) >= (:caller, :partner) AND (owner, partner, id) <= (:caller, :partner, :up_to)
        ORDER BY owner DESC, partner DESC, id DESC
        LIMIT :limit
    )
) AS v
ORDER BY id DESC
LIMIT :limit;

-- name: select_messages_after
-- The same, oldest first.
SELECT id, is_sent, subject, content, is_read, read_at, sent_at
FROM (
    (
        SELECT id, is_sent, subject, content, is_read, read_at, sent_at
        FROM msgsvc_sent_messages
        WHERE (owner, partner, id) > (:caller, :partner, :after) AND (owner, partner) <= (:caller, :partner)
        ORDER BY owner, partner, id
        LIMIT :limit
    )
    UNION ALL
    (
        SELECT id, is_sent, subject, content, is_read, read_at, sent_at
        FROM msgsvc_received_messages
        WHERE (owner, partner, id) > (:caller, :partner, :after) AND (owner, partner) <= (:caller, :partner)
        ORDER BY owner, partner, id
        LIMIT :limit
    )
) AS v
ORDER BY id
LIMIT :limit;

-- name: update_conversation_read
-- Every message from the partner that the caller still sees; the first read_at stands.
UPDATE messages
SET is_read = '1', read_at = coalesce(read_at, :now)
WHERE id IN (
    SELECT v.id
    FROM msgsvc_visible_messages AS v
    WHERE v.owner = :caller AND v.partner = :partner AND v.is_unread AND v.id <= :up_to
)
    AND NOT msgsvc_is_set(is_read);

-- name: select_conversation_exists
-- Whether the owner still sees a message of the conversation.
SELECT EXISTS (SELECT 1 FROM msgsvc_conversations WHERE owner = :owner AND partner = :partner);

-- name: select_conversation_ids
-- The newest that the caller still sees of the conversation, up to an id.
SELECT id
FROM msgsvc_visible_messages
WHERE owner = :caller AND partner = :partner AND id <= :up_to
ORDER BY id DESC
LIMIT :limit;
