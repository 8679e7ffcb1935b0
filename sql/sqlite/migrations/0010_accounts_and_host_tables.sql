-- Names compare exactly, also where a host's columns fold case or trailing blanks; so the view gives them COLLATE
-- BINARY, and the indexes hold them so. A row without a name, or to oneself, is seen by nobody.
DROP TRIGGER IF EXISTS msgsvc_messages_before_insert;
DROP TRIGGER IF EXISTS msgsvc_messages_after_insert;
DROP TRIGGER IF EXISTS msgsvc_messages_after_read;
DROP TRIGGER IF EXISTS msgsvc_messages_after_update;
DROP TRIGGER IF EXISTS msgsvc_messages_before_new_id;
DROP TRIGGER IF EXISTS msgsvc_messages_after_new_id;
DROP TRIGGER IF EXISTS msgsvc_messages_after_delete;
DROP VIEW msgsvc_message_shown;
DROP VIEW msgsvc_message_hidden;
DROP VIEW msgsvc_visible_messages;
DROP INDEX IF EXISTS msgsvc_messages_visible_to_sender;
DROP INDEX IF EXISTS msgsvc_messages_visible_to_recipient;
DROP INDEX IF EXISTS msgsvc_messages_unread;
DROP TABLE msgsvc_replaced_messages;

-- THE rule of who sees what: one row for each message and each side (owner) that has not hidden it.
-- The casts are for what a host may have stored: a BLOB as content, or none in an older table that allowed it.
CREATE VIEW msgsvc_visible_messages (
    owner, partner, id, is_sent, subject, content, is_read, read_at, sent_at, is_unread
) AS
SELECT
    sender_username COLLATE BINARY, recipient_username COLLATE BINARY, id, 1,
    CAST(subject AS TEXT), coalesce(CAST(content AS TEXT), ''), is_read IS TRUE, read_at, sent_at, 0
FROM messages
WHERE deleted_at IS NULL AND is_deleted_by_sender IS NOT TRUE
    AND sender_username COLLATE BINARY <> recipient_username
UNION ALL
SELECT
    recipient_username COLLATE BINARY, sender_username COLLATE BINARY, id, 0,
    CAST(subject AS TEXT), coalesce(CAST(content AS TEXT), ''), is_read IS TRUE, read_at, sent_at, is_read IS NOT TRUE
FROM messages
WHERE deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE
    AND sender_username COLLATE BINARY <> recipient_username;

-- These three repeat the rule, so that neither history nor the search for a predecessor steps over hidden messages.
CREATE INDEX msgsvc_messages_visible_to_sender
ON messages (sender_username COLLATE BINARY, recipient_username COLLATE BINARY)
WHERE deleted_at IS NULL AND is_deleted_by_sender IS NOT TRUE;

CREATE INDEX msgsvc_messages_visible_to_recipient
ON messages (recipient_username COLLATE BINARY, sender_username COLLATE BINARY)
WHERE deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE;

CREATE INDEX msgsvc_messages_unread
ON messages (recipient_username COLLATE BINARY, sender_username COLLATE BINARY)
WHERE deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE AND is_read IS NOT TRUE;

-- What the summaries count: messages between two names that a URL can carry, so that a call can open them.
CREATE VIEW msgsvc_counted_messages (owner, partner, id, is_unread) AS
SELECT owner, partner, id, is_unread
FROM msgsvc_visible_messages
WHERE typeof(owner) <> 'blob' AND length(owner) BETWEEN 1 AND 255 AND owner NOT IN ('.', '..')
    AND instr(owner, '/') = 0 AND instr(owner, char(0)) = 0
    AND typeof(partner) <> 'blob' AND length(partner) BETWEEN 1 AND 255 AND partner NOT IN ('.', '..')
    AND instr(partner, '/') = 0 AND instr(partner, char(0)) = 0;

-- The role of the partner's account, null where there is none; kept by the triggers on users.
ALTER TABLE msgsvc_conversations ADD COLUMN partner_role TEXT;

DROP TRIGGER msgsvc_conversations_update;
CREATE TRIGGER msgsvc_conversations_update AFTER UPDATE ON msgsvc_conversations
WHEN (new.last_message_id, new.unread_count, new.partner_role)
    IS NOT (old.last_message_id, old.unread_count, old.partner_role)
BEGIN
    UPDATE msgsvc_mailboxes
    SET
        total_unread = total_unread + new.unread_count - old.unread_count,
        unread_conversation_count
            = unread_conversation_count + (new.unread_count > 0) - (old.unread_count > 0),
        version = random()
    WHERE owner = new.owner;
END;

-- The two procedures that every trigger on messages calls: an INSERT into one of these views says that a side began
-- or ceased to see a message.
CREATE VIEW msgsvc_message_shown (owner, partner, id, is_unread) AS
SELECT owner, partner, id, is_unread FROM msgsvc_counted_messages;

CREATE TRIGGER msgsvc_message_shown_insert INSTEAD OF INSERT ON msgsvc_message_shown
BEGIN
    UPDATE msgsvc_conversations
    SET last_message_id = max(last_message_id, new.id), unread_count = unread_count + new.is_unread
    WHERE owner = new.owner AND partner = new.partner;
    INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count, partner_role)
    SELECT
        new.owner, new.partner, new.id, new.is_unread,
        (SELECT role FROM users WHERE username = new.partner AND username = new.partner COLLATE BINARY)
    WHERE changes() = 0;
END;

CREATE VIEW msgsvc_message_hidden (owner, partner, id, is_unread) AS
SELECT owner, partner, id, is_unread FROM msgsvc_counted_messages;

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

-- Who has ever written to whom. Rows outlive the messages: one message of a clinician's opens the reply for good.
-- The rights of a name are closed only when it is forgotten, so that it may be given to somebody else.
CREATE TABLE msgsvc_reply_rights (
    reader TEXT NOT NULL,
    writer TEXT NOT NULL,
    is_open INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (reader, writer)
) WITHOUT ROWID;

CREATE INDEX msgsvc_reply_rights_by_writer ON msgsvc_reply_rights (writer);

-- What each side saw of a message before a change, kept while the change runs. So the triggers need not repeat the
-- rule for old rows, and they also cover INSERT OR REPLACE and UPDATE OR REPLACE, which remove a row without firing
-- its DELETE triggers.
CREATE TABLE msgsvc_messages_before (
    id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    partner TEXT NOT NULL,
    is_unread INTEGER NOT NULL,
    PRIMARY KEY (id, owner)
) WITHOUT ROWID;

CREATE TRIGGER msgsvc_messages_before_insert BEFORE INSERT ON messages
WHEN EXISTS (SELECT 1 FROM messages WHERE id = new.id)
BEGIN
    DELETE FROM msgsvc_messages_before WHERE id = new.id;
    INSERT INTO msgsvc_messages_before (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_counted_messages WHERE id = new.id;
    UPDATE msgsvc_mailboxes
    SET version = random()
    WHERE owner IN (SELECT owner FROM msgsvc_conversations WHERE last_message_id = new.id)
        AND NOT EXISTS (
            SELECT 1 FROM messages AS m
            WHERE m.id = new.id
                AND (m.content COLLATE BINARY, m.sent_at COLLATE BINARY, m.sender_username COLLATE BINARY)
                    IS (new.content, new.sent_at, new.sender_username)
        );
END;

-- The last statement replaces the default CURRENT_TIMESTAMP, which SQLite cannot give a column added to a table.
CREATE TRIGGER msgsvc_messages_after_insert AFTER INSERT ON messages
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_messages_before WHERE id = new.id;
    DELETE FROM msgsvc_messages_before WHERE id = new.id;
    INSERT INTO msgsvc_message_shown (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_counted_messages WHERE id = new.id;
    INSERT INTO msgsvc_reply_rights (reader, writer)
    SELECT new.recipient_username, new.sender_username
    WHERE new.sender_username COLLATE BINARY <> new.recipient_username
    ON CONFLICT (reader, writer) DO UPDATE SET is_open = 1 WHERE NOT is_open;
    UPDATE messages
    SET sent_at = coalesce(sent_at, CURRENT_TIMESTAMP), created_at = coalesce(created_at, CURRENT_TIMESTAMP)
    WHERE id = new.id AND (sent_at IS NULL OR created_at IS NULL);
END;

-- Reading a message, the most frequent change, concerns one count of one side. The condition of this trigger and that
-- of the two after it exclude each other.
CREATE TRIGGER msgsvc_messages_after_read AFTER UPDATE ON messages
WHEN (new.is_read IS NOT TRUE) <> (old.is_read IS NOT TRUE)
    AND (
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
        AND EXISTS (
            SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = new.id AND v.owner = new.recipient_username
        );
END;

CREATE TRIGGER msgsvc_messages_before_update BEFORE UPDATE ON messages
WHEN (
    new.id, new.sender_username COLLATE BINARY, new.recipient_username COLLATE BINARY, new.content COLLATE BINARY,
    new.sent_at COLLATE BINARY, new.deleted_at, new.is_deleted_by_sender, new.is_deleted_by_recipient
) IS NOT (
    old.id, old.sender_username, old.recipient_username, old.content,
    old.sent_at, old.deleted_at, old.is_deleted_by_sender, old.is_deleted_by_recipient
)
BEGIN
    DELETE FROM msgsvc_messages_before WHERE id = old.id;
    INSERT INTO msgsvc_messages_before (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_counted_messages WHERE id = old.id;
END;

-- A side that sees the same as before is left alone: its ETag does not tell what the other side did.
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

-- The inbox shows these columns of the newest message; the summaries do not hold them.
CREATE TRIGGER msgsvc_messages_after_content AFTER UPDATE OF content, sent_at, sender_username ON messages
WHEN (new.content COLLATE BINARY, new.sent_at COLLATE BINARY, new.sender_username COLLATE BINARY)
    IS NOT (old.content, old.sent_at, old.sender_username)
BEGIN
    UPDATE msgsvc_mailboxes
    SET version = random()
    WHERE owner IN (SELECT owner FROM msgsvc_conversations WHERE last_message_id = new.id);
END;

CREATE TRIGGER msgsvc_messages_before_new_id BEFORE UPDATE OF id ON messages WHEN new.id <> old.id
BEGIN
    DELETE FROM msgsvc_messages_before WHERE id = new.id;
    INSERT INTO msgsvc_messages_before (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_counted_messages WHERE id = new.id;
END;

CREATE TRIGGER msgsvc_messages_after_new_id AFTER UPDATE OF id ON messages WHEN new.id <> old.id
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_messages_before WHERE id = new.id;
    DELETE FROM msgsvc_messages_before WHERE id = new.id;
    UPDATE msgsvc_mailboxes
    SET version = random()
    WHERE owner IN (SELECT owner FROM msgsvc_conversations WHERE last_message_id = new.id);
END;

CREATE TRIGGER msgsvc_messages_after_names AFTER UPDATE OF sender_username, recipient_username ON messages
WHEN new.sender_username COLLATE BINARY <> new.recipient_username
BEGIN
    INSERT INTO msgsvc_reply_rights (reader, writer)
    VALUES (new.recipient_username, new.sender_username)
    ON CONFLICT (reader, writer) DO UPDATE SET is_open = 1 WHERE NOT is_open;
END;

CREATE TRIGGER msgsvc_messages_before_delete BEFORE DELETE ON messages
BEGIN
    DELETE FROM msgsvc_messages_before WHERE id = old.id;
    INSERT INTO msgsvc_messages_before (id, owner, partner, is_unread)
    SELECT id, owner, partner, is_unread FROM msgsvc_counted_messages WHERE id = old.id;
END;

CREATE TRIGGER msgsvc_messages_after_delete AFTER DELETE ON messages
BEGIN
    INSERT INTO msgsvc_message_hidden (owner, partner, id, is_unread)
    SELECT owner, partner, id, is_unread FROM msgsvc_messages_before WHERE id = old.id;
    DELETE FROM msgsvc_messages_before WHERE id = old.id;
END;

-- The words by which people are found: those of the username and of the display name, where a host's users table has a
-- column of it, and each of the two as a whole. The role comes first because a user finds only some of them.
CREATE TABLE msgsvc_people_words (
    role TEXT NOT NULL,
    word TEXT NOT NULL,
    username TEXT NOT NULL,
    PRIMARY KEY (role, word, username)
) WITHOUT ROWID;

CREATE INDEX msgsvc_people_words_by_username ON msgsvc_people_words (username, word);

-- The column of users that holds the display name; 'username' where there is none. One row.
CREATE TABLE msgsvc_display_name (column_name TEXT NOT NULL);

INSERT INTO msgsvc_display_name (column_name) VALUES ('username');

-- The procedure that the triggers on users call. A name that no URL can carry cannot be written to, so it is not listed.
CREATE VIEW msgsvc_person_listed (username, role, display_name) AS
SELECT username, role, '' FROM msgsvc_people_words;

CREATE TRIGGER msgsvc_person_listed_insert INSTEAD OF INSERT ON msgsvc_person_listed
WHEN typeof(new.username) <> 'blob' AND length(new.username) BETWEEN 1 AND 255 AND new.username NOT IN ('.', '..')
    AND instr(new.username, '/') = 0 AND instr(new.username, char(0)) = 0
BEGIN
    INSERT INTO msgsvc_people_words (role, word, username)
    SELECT coalesce(new.role, ''), value, new.username
    FROM json_each(
        '[' || replace(replace(replace(replace(replace(replace(
            json_quote(new.username || ' ' || coalesce(CAST(new.display_name AS TEXT), '')),
            '.', ' '), '-', ' '), '_', ' '), ',', ' '), '@', ' '), ' ', '","') || ']'
    )
    WHERE value <> ''
    ON CONFLICT (role, word, username) DO NOTHING;
    INSERT INTO msgsvc_people_words (role, word, username)
    SELECT coalesce(new.role, ''), name, new.username
    FROM (SELECT new.username AS name UNION ALL SELECT coalesce(CAST(new.display_name AS TEXT), ''))
    WHERE name <> ''
    ON CONFLICT (role, word, username) DO NOTHING;
END;

-- What belongs to an account follows its row in users, also where a host's own code writes it. A word before
-- the comment "display name" is replaced by the column of the display name, where there is one.
CREATE TRIGGER msgsvc_accounts_after_insert AFTER INSERT ON users
BEGIN
    DELETE FROM msgsvc_people_words WHERE username = new.username;
    INSERT INTO msgsvc_person_listed (username, role, display_name)
    VALUES (new.username, new.role, new.username /* display name */);
    UPDATE msgsvc_conversations SET partner_role = new.role WHERE partner = new.username;
END;

CREATE TRIGGER msgsvc_accounts_after_update AFTER UPDATE ON users
WHEN (new.username COLLATE BINARY, new.role COLLATE BINARY, new.username /* display name */)
    IS NOT (old.username, old.role, old.username /* display name */)
BEGIN
    DELETE FROM msgsvc_people_words WHERE username = old.username;
    DELETE FROM msgsvc_people_words WHERE username = new.username;
    INSERT INTO msgsvc_person_listed (username, role, display_name)
    VALUES (new.username, new.role, new.username /* display name */);
    UPDATE msgsvc_conversations
    SET partner_role = NULL
    WHERE partner = old.username AND new.username COLLATE BINARY <> old.username;
    UPDATE msgsvc_conversations SET partner_role = new.role WHERE partner = new.username;
END;

CREATE TRIGGER msgsvc_accounts_after_delete AFTER DELETE ON users
BEGIN
    DELETE FROM msgsvc_people_words WHERE username = old.username;
    UPDATE msgsvc_conversations SET partner_role = NULL WHERE partner = old.username;
END;

-- A renamed account keeps its messages, blocks, suspension, sessions and password. The names in messages and users are
-- compared twice because a host's columns may fold case: once by their index, once exactly.
CREATE TRIGGER msgsvc_accounts_after_rename AFTER UPDATE OF username ON users
WHEN new.username COLLATE BINARY <> old.username
BEGIN
    UPDATE messages
    SET sender_username = new.username
    WHERE sender_username = old.username AND sender_username = old.username COLLATE BINARY;
    UPDATE messages
    SET recipient_username = new.username
    WHERE recipient_username = old.username AND recipient_username = old.username COLLATE BINARY;
    UPDATE OR REPLACE msgsvc_reply_rights SET reader = new.username WHERE reader = old.username;
    UPDATE OR REPLACE msgsvc_reply_rights SET writer = new.username WHERE writer = old.username;
    UPDATE OR REPLACE msgsvc_blocks SET blocker = new.username WHERE blocker = old.username;
    UPDATE OR REPLACE msgsvc_blocks SET blocked = new.username WHERE blocked = old.username;
    UPDATE OR REPLACE msgsvc_suspensions SET username = new.username WHERE username = old.username;
    UPDATE OR REPLACE msgsvc_credentials SET username = new.username WHERE username = old.username;
    UPDATE OR REPLACE msgsvc_idempotency_keys SET sender = new.username WHERE sender = old.username;
    UPDATE msgsvc_sessions SET username = new.username WHERE username = old.username;
END;
