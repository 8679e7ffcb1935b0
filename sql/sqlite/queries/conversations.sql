-- name: select_mailbox
-- The owner's totals, and the version, which changes with everything that the owner can see.
SELECT total_unread, conversation_count, unread_conversation_count, version
FROM msgsvc_mailboxes
WHERE owner = :caller;

-- name: select_inbox
-- One row for each conversation that the caller still sees, newest first.
-- Skipped pages cost one index step a row; their messages are not read.
SELECT
    CAST(c.partner AS TEXT),
    coalesce(substr(CAST(m.content AS TEXT), 1, :preview), ''),
    m.sent_at,
    c.unread_count,
    m.sender_username = c.partner COLLATE BINARY,
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
    CAST(c.partner AS TEXT),
    coalesce(substr(CAST(m.content AS TEXT), 1, :preview), ''),
    m.sent_at,
    c.unread_count,
    m.sender_username = c.partner COLLATE BINARY,
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
SELECT id, is_sent, subject, content, is_read, read_at, sent_at
FROM msgsvc_visible_messages
WHERE owner = :caller AND partner = :partner AND id <= :up_to
ORDER BY id DESC
LIMIT :limit;

-- name: select_messages_after
-- The same, oldest first.
SELECT id, is_sent, subject, content, is_read, read_at, sent_at
FROM msgsvc_visible_messages
WHERE owner = :caller AND partner = :partner AND id > :after
ORDER BY id
LIMIT :limit;

-- name: select_conversation_exists
-- Whether the owner still sees a message of the conversation.
SELECT EXISTS (SELECT 1 FROM msgsvc_conversations WHERE owner = :owner AND partner = :partner);

-- name: update_conversation_read
-- Every message from the partner that the caller still sees; the first read_at stands.
UPDATE messages
SET is_read = 1, read_at = coalesce(read_at, :now)
WHERE id IN (
    SELECT id
    FROM msgsvc_visible_messages
    WHERE owner = :caller AND partner = :partner AND is_unread AND id <= :up_to
);

-- name: select_conversation_ids
-- The newest that the caller still sees of the conversation, up to an id.
SELECT id
FROM msgsvc_visible_messages
WHERE owner = :caller AND partner = :partner AND id <= :up_to
ORDER BY id DESC
LIMIT :limit;
