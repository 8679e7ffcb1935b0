-- Reading a message, the most frequent change, concerns one count of one side. Everything else that a side can see in
-- its inbox goes through the two procedures, of which the first now leaves alone what stays the same.
DROP TRIGGER msgsvc_message_hidden_insert;
DROP TRIGGER msgsvc_messages_after_update;

CREATE TRIGGER msgsvc_message_hidden_insert INSTEAD OF INSERT ON msgsvc_message_hidden
BEGIN
    UPDATE msgsvc_conversations
    SET unread_count = unread_count - 1
    WHERE owner = new.owner AND partner = new.partner AND new.is_unread;
    DELETE FROM msgsvc_conversations
    WHERE owner = new.owner AND partner = new.partner AND last_message_id = new.id
        AND NOT EXISTS (
            SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.owner = new.owner AND v.partner = new.partner
        );
    UPDATE msgsvc_conversations
    SET last_message_id = (
        SELECT v.id FROM msgsvc_visible_messages AS v
        WHERE v.owner = new.owner AND v.partner = new.partner
        ORDER BY v.id DESC
        LIMIT 1
    )
    WHERE owner = new.owner AND partner = new.partner AND last_message_id = new.id;
END;

-- The conditions of these two exclude each other.
CREATE TRIGGER msgsvc_messages_after_read AFTER UPDATE ON messages
WHEN (
    new.id, new.sender_username COLLATE BINARY, new.recipient_username COLLATE BINARY, new.content COLLATE BINARY,
    new.sent_at COLLATE BINARY, new.deleted_at, new.is_deleted_by_sender, new.is_deleted_by_recipient
) IS (
    old.id, old.sender_username, old.recipient_username, old.content,
    old.sent_at, old.deleted_at, old.is_deleted_by_sender, old.is_deleted_by_recipient
)
BEGIN
    UPDATE msgsvc_conversations
    SET unread_count = unread_count + (new.is_read IS NOT TRUE) - (old.is_read IS NOT TRUE)
    WHERE owner = new.recipient_username
        AND partner = new.sender_username
        AND new.deleted_at IS NULL
        AND new.is_deleted_by_recipient IS NOT TRUE
        AND (new.is_read IS NOT TRUE) <> (old.is_read IS NOT TRUE);
END;

CREATE TRIGGER msgsvc_messages_after_update AFTER UPDATE ON messages
WHEN (
    new.id, new.sender_username COLLATE BINARY, new.recipient_username COLLATE BINARY, new.content COLLATE BINARY,
    new.sent_at COLLATE BINARY, new.deleted_at, new.is_deleted_by_sender, new.is_deleted_by_recipient
) IS NOT (
    old.id, old.sender_username, old.recipient_username, old.content,
    old.sent_at, old.deleted_at, old.is_deleted_by_sender, old.is_deleted_by_recipient
)
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT old.sender_username, old.recipient_username, old.id, 0
    WHERE old.deleted_at IS NULL AND old.is_deleted_by_sender IS NOT TRUE;
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT old.recipient_username, old.sender_username, old.id, old.is_read IS NOT TRUE
    WHERE old.deleted_at IS NULL AND old.is_deleted_by_recipient IS NOT TRUE;
    INSERT INTO msgsvc_message_shown (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_visible_messages WHERE id = new.id;
END;
