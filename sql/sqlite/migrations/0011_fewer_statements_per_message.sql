-- A partner's role is looked up when the conversation begins, not for every message.
CREATE TRIGGER msgsvc_conversations_after_insert AFTER INSERT ON msgsvc_conversations WHEN new.partner_role IS NULL
BEGIN
    UPDATE msgsvc_conversations
    SET partner_role = (SELECT role FROM users WHERE username = new.partner AND username = new.partner COLLATE BINARY)
    WHERE owner = new.owner AND partner = new.partner;
END;

-- The names of a conversation that exists need no look: it is counted, because one is made of counted messages only.
DROP TRIGGER msgsvc_message_shown_insert;
CREATE TRIGGER msgsvc_message_shown_insert INSTEAD OF INSERT ON msgsvc_message_shown
WHEN EXISTS (SELECT 1 FROM msgsvc_conversations WHERE owner = new.owner AND partner = new.partner)
    OR EXISTS (SELECT 1 FROM msgsvc_counted_messages WHERE id = new.id AND owner = new.owner)
BEGIN
    INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count)
    VALUES (new.owner, new.partner, new.id, new.is_unread)
    ON CONFLICT (owner, partner) DO UPDATE SET
        last_message_id = max(last_message_id, excluded.last_message_id),
        unread_count = unread_count + excluded.unread_count;
END;

-- What a replaced row hid has a trigger of its own, since nearly every insert replaces none.
DROP TRIGGER IF EXISTS msgsvc_messages_after_insert;
CREATE TRIGGER msgsvc_messages_after_replace AFTER INSERT ON messages
WHEN EXISTS (SELECT 1 FROM msgsvc_messages_before WHERE id = new.id)
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_messages_before WHERE id = new.id;
    DELETE FROM msgsvc_messages_before WHERE id = new.id;
END;

-- The last statement replaces the default CURRENT_TIMESTAMP, which SQLite cannot give a column added to a table.
CREATE TRIGGER msgsvc_messages_after_insert AFTER INSERT ON messages
BEGIN
    INSERT INTO msgsvc_message_shown (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_visible_messages WHERE id = new.id;
    INSERT INTO msgsvc_reply_rights (reader, writer)
    SELECT new.recipient_username, new.sender_username
    WHERE new.sender_username COLLATE BINARY <> new.recipient_username
    ON CONFLICT (reader, writer) DO UPDATE SET is_open = 1 WHERE NOT is_open;
    UPDATE messages
    SET sent_at = coalesce(sent_at, CURRENT_TIMESTAMP), created_at = coalesce(created_at, CURRENT_TIMESTAMP)
    WHERE id = new.id AND (sent_at IS NULL OR created_at IS NULL);
END;

-- A trigger that names its columns costs an update of others nothing. SQLite knows the id by four names. A new content
-- or time has a trigger of its own (msgsvc_messages_after_content).
DROP TRIGGER IF EXISTS msgsvc_messages_after_read;
CREATE TRIGGER msgsvc_messages_after_read AFTER UPDATE OF is_read ON messages
WHEN (new.is_read IS NOT TRUE) <> (old.is_read IS NOT TRUE)
    AND (
        new.id, new.sender_username COLLATE BINARY, new.recipient_username COLLATE BINARY,
        new.deleted_at, new.is_deleted_by_sender, new.is_deleted_by_recipient
    ) IS (
        old.id, old.sender_username, old.recipient_username,
        old.deleted_at, old.is_deleted_by_sender, old.is_deleted_by_recipient
    )
BEGIN
    UPDATE msgsvc_conversations
    SET unread_count = unread_count + (new.is_read IS NOT TRUE) - (old.is_read IS NOT TRUE)
    WHERE owner = new.recipient_username
        AND partner = new.sender_username
        AND EXISTS (
            SELECT 1
            FROM msgsvc_visible_messages AS v
            WHERE v.id = new.id AND v.owner = new.recipient_username AND NOT v.is_sent
        );
END;

DROP TRIGGER IF EXISTS msgsvc_messages_before_update;
CREATE TRIGGER msgsvc_messages_before_update BEFORE UPDATE OF
    id, rowid, oid, _rowid_, sender_username, recipient_username,
    deleted_at, is_deleted_by_sender, is_deleted_by_recipient
ON messages
WHEN (
    new.id, new.sender_username COLLATE BINARY, new.recipient_username COLLATE BINARY,
    new.deleted_at, new.is_deleted_by_sender, new.is_deleted_by_recipient
) IS NOT (
    old.id, old.sender_username, old.recipient_username,
    old.deleted_at, old.is_deleted_by_sender, old.is_deleted_by_recipient
)
BEGIN
    DELETE FROM msgsvc_messages_before WHERE id = old.id;
    INSERT INTO msgsvc_messages_before (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_counted_messages WHERE id = old.id;
END;

DROP TRIGGER IF EXISTS msgsvc_messages_after_update;
CREATE TRIGGER msgsvc_messages_after_update AFTER UPDATE OF
    id, rowid, oid, _rowid_, sender_username, recipient_username,
    deleted_at, is_deleted_by_sender, is_deleted_by_recipient
ON messages
WHEN (
    new.id, new.sender_username COLLATE BINARY, new.recipient_username COLLATE BINARY,
    new.deleted_at, new.is_deleted_by_sender, new.is_deleted_by_recipient
) IS NOT (
    old.id, old.sender_username, old.recipient_username,
    old.deleted_at, old.is_deleted_by_sender, old.is_deleted_by_recipient
)
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT b.owner, b.partner, b.id, b.is_unread
    FROM msgsvc_messages_before AS b
    WHERE b.id = old.id
        AND NOT EXISTS (
            SELECT 1 FROM msgsvc_counted_messages AS v
            WHERE v.id = new.id AND v.id = b.id AND v.owner = b.owner AND v.partner = b.partner AND v.is_unread = b.is_unread
        );
    INSERT INTO msgsvc_message_shown (owner, partner, id, is_unread)
    SELECT v.owner, v.partner, v.id, v.is_unread
    FROM msgsvc_counted_messages AS v
    WHERE v.id = new.id
        AND NOT EXISTS (
            SELECT 1 FROM msgsvc_messages_before AS b
            WHERE b.id = old.id AND b.id = v.id
                AND b.owner = v.owner AND b.partner = v.partner AND b.is_unread = v.is_unread
        );
    DELETE FROM msgsvc_messages_before WHERE id = old.id;
END;
