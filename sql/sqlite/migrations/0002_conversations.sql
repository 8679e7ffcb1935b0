-- THE rule of who sees what: one row for each message and each side (owner) that has not hidden it.
-- The casts are for what a host may have stored: a BLOB as content, or none in an older table that allowed it.
CREATE VIEW msgsvc_visible_messages (
    owner, partner, id, sender, recipient, subject, content, is_read, read_at, sent_at, is_unread
) AS
SELECT
    sender_username, recipient_username, id, sender_username, recipient_username,
    CAST(subject AS TEXT), coalesce(CAST(content AS TEXT), ''), is_read IS TRUE, read_at, sent_at, 0
FROM messages
WHERE deleted_at IS NULL AND is_deleted_by_sender IS NOT TRUE
UNION ALL
SELECT
    recipient_username, sender_username, id, sender_username, recipient_username,
    CAST(subject AS TEXT), coalesce(CAST(content AS TEXT), ''), is_read IS TRUE, read_at, sent_at, is_read IS NOT TRUE
FROM messages
WHERE deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE;

-- Summaries derived from that view, so that the inbox costs the same however long the history is.
CREATE TABLE msgsvc_conversations (
    owner TEXT NOT NULL,
    partner TEXT NOT NULL,
    last_message_id INTEGER NOT NULL,
    unread_count INTEGER NOT NULL,
    PRIMARY KEY (owner, partner)
) WITHOUT ROWID;

CREATE INDEX msgsvc_conversations_newest ON msgsvc_conversations (owner, last_message_id);
CREATE INDEX msgsvc_conversations_by_partner ON msgsvc_conversations (partner, last_message_id);
CREATE INDEX msgsvc_conversations_by_message ON msgsvc_conversations (last_message_id);
CREATE INDEX msgsvc_conversations_unread ON msgsvc_conversations (owner, last_message_id) WHERE unread_count > 0;

-- version is drawn at random, not counted, so that a database restored from a backup cannot repeat one for other content.
CREATE TABLE msgsvc_mailboxes (
    owner TEXT NOT NULL PRIMARY KEY,
    total_unread INTEGER NOT NULL,
    conversation_count INTEGER NOT NULL,
    unread_conversation_count INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER msgsvc_conversations_insert AFTER INSERT ON msgsvc_conversations
BEGIN
    INSERT INTO msgsvc_mailboxes (owner, total_unread, conversation_count, unread_conversation_count, version)
    VALUES (new.owner, new.unread_count, 1, new.unread_count > 0, random())
    ON CONFLICT (owner) DO UPDATE SET
        total_unread = total_unread + excluded.total_unread,
        conversation_count = conversation_count + 1,
        unread_conversation_count = unread_conversation_count + excluded.unread_conversation_count,
        version = excluded.version;
END;

CREATE TRIGGER msgsvc_conversations_update AFTER UPDATE ON msgsvc_conversations
BEGIN
    UPDATE msgsvc_mailboxes
    SET
        total_unread = total_unread + new.unread_count - old.unread_count,
        unread_conversation_count
            = unread_conversation_count + (new.unread_count > 0) - (old.unread_count > 0),
        version = random()
    WHERE owner = new.owner;
END;

CREATE TRIGGER msgsvc_conversations_delete AFTER DELETE ON msgsvc_conversations
BEGIN
    UPDATE msgsvc_mailboxes
    SET
        total_unread = total_unread - old.unread_count,
        conversation_count = conversation_count - 1,
        unread_conversation_count = unread_conversation_count - (old.unread_count > 0),
        version = random()
    WHERE owner = old.owner;
END;

INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count)
SELECT owner, partner, max(id), sum(is_unread)
FROM msgsvc_visible_messages
GROUP BY owner, partner;

-- The two procedures that every trigger on messages calls: an INSERT into one of these views says that a side began
-- or ceased to see a message.
CREATE VIEW msgsvc_message_shown (owner, partner, id, is_unread) AS
SELECT owner, partner, id, is_unread FROM msgsvc_visible_messages;

CREATE TRIGGER msgsvc_message_shown_insert INSTEAD OF INSERT ON msgsvc_message_shown
BEGIN
    INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count)
    VALUES (new.owner, new.partner, new.id, new.is_unread)
    ON CONFLICT (owner, partner) DO UPDATE SET
        last_message_id = max(last_message_id, excluded.last_message_id),
        unread_count = unread_count + excluded.unread_count;
END;

CREATE VIEW msgsvc_message_hidden (owner, partner, id, is_unread) AS
SELECT owner, partner, id, is_unread FROM msgsvc_visible_messages;

CREATE TRIGGER msgsvc_message_hidden_insert INSTEAD OF INSERT ON msgsvc_message_hidden
BEGIN
    DELETE FROM msgsvc_conversations
    WHERE owner = new.owner AND partner = new.partner AND last_message_id = new.id
        AND NOT EXISTS (
            SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.owner = new.owner AND v.partner = new.partner
        );
    UPDATE msgsvc_conversations
    SET
        last_message_id = CASE last_message_id
            WHEN new.id THEN (
                SELECT v.id FROM msgsvc_visible_messages AS v
                WHERE v.owner = new.owner AND v.partner = new.partner
                ORDER BY v.id DESC
                LIMIT 1
            )
            ELSE last_message_id
        END,
        unread_count = unread_count - new.is_unread
    WHERE owner = new.owner AND partner = new.partner;
END;

-- INSERT OR REPLACE and UPDATE OR REPLACE remove a row without firing the DELETE triggers, so what may be about to be
-- replaced is noted first, and taken out of the summaries when it has been.
CREATE TABLE msgsvc_replaced_messages (
    id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    partner TEXT NOT NULL,
    is_unread INTEGER NOT NULL,
    PRIMARY KEY (id, owner)
) WITHOUT ROWID;

CREATE TRIGGER msgsvc_messages_before_insert BEFORE INSERT ON messages
BEGIN
    DELETE FROM msgsvc_replaced_messages WHERE id = new.id;
    INSERT INTO msgsvc_replaced_messages (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_visible_messages WHERE id = new.id;
END;

-- The last statement stands in for the default CURRENT_TIMESTAMP, which a column added to an older table cannot have.
CREATE TRIGGER msgsvc_messages_after_insert AFTER INSERT ON messages
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_replaced_messages WHERE id = new.id;
    DELETE FROM msgsvc_replaced_messages WHERE id = new.id;
    INSERT INTO msgsvc_message_shown (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_visible_messages WHERE id = new.id;
    UPDATE messages
    SET sent_at = coalesce(sent_at, CURRENT_TIMESTAMP), created_at = coalesce(created_at, CURRENT_TIMESTAMP)
    WHERE id = new.id AND (sent_at IS NULL OR created_at IS NULL);
END;

CREATE TRIGGER msgsvc_messages_after_update AFTER UPDATE ON messages
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

CREATE TRIGGER msgsvc_messages_before_new_id BEFORE UPDATE OF id ON messages WHEN new.id <> old.id
BEGIN
    DELETE FROM msgsvc_replaced_messages WHERE id = new.id;
    INSERT INTO msgsvc_replaced_messages (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_visible_messages WHERE id = new.id;
END;

CREATE TRIGGER msgsvc_messages_after_new_id AFTER UPDATE OF id ON messages WHEN new.id <> old.id
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_replaced_messages WHERE id = new.id;
    DELETE FROM msgsvc_replaced_messages WHERE id = new.id;
END;

CREATE TRIGGER msgsvc_messages_after_delete AFTER DELETE ON messages
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT old.sender_username, old.recipient_username, old.id, 0
    WHERE old.deleted_at IS NULL AND old.is_deleted_by_sender IS NOT TRUE;
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT old.recipient_username, old.sender_username, old.id, old.is_read IS NOT TRUE
    WHERE old.deleted_at IS NULL AND old.is_deleted_by_recipient IS NOT TRUE;
    DELETE FROM msgsvc_replaced_messages WHERE id = old.id;
END;
