-- Recounts everything derived from messages and users: after a migration, and where a host's DDL dropped a trigger.
-- Mailboxes first: without them the triggers on conversations have nothing to update.
DELETE FROM msgsvc_mailboxes;
DELETE FROM msgsvc_conversations;
INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count, partner_role)
SELECT
    c.owner, c.partner, c.last_message_id, c.unread_count,
    (SELECT role FROM users WHERE username = c.partner AND username = c.partner COLLATE BINARY)
FROM (
    SELECT owner, partner, max(id) AS last_message_id, sum(is_unread) AS unread_count
    FROM msgsvc_counted_messages
    GROUP BY owner, partner
) AS c;
DELETE FROM msgsvc_messages_before;

-- Reply rights are only added: they outlive the messages.
INSERT INTO msgsvc_reply_rights (reader, writer)
SELECT DISTINCT recipient_username COLLATE BINARY, sender_username COLLATE BINARY
FROM messages
WHERE sender_username COLLATE BINARY <> recipient_username
ON CONFLICT (reader, writer) DO NOTHING;

DELETE FROM msgsvc_people_words;
INSERT INTO msgsvc_person_listed (username, role, display_name)
SELECT username, role, username /* display name */ FROM users;
