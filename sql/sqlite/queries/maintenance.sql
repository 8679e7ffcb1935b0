-- name: select_conversation_faults
-- Where the summaries differ from a full recount.
SELECT 'summary without messages, or with wrong figures', owner, partner
FROM (
    SELECT owner, partner, last_message_id, unread_count FROM msgsvc_conversations
    EXCEPT
    SELECT owner, partner, max(id), sum(is_unread) FROM msgsvc_counted_messages GROUP BY owner, partner
)
UNION
SELECT 'messages without summary, or with a wrong one', owner, partner
FROM (
    SELECT owner, partner, max(id), sum(is_unread) FROM msgsvc_counted_messages GROUP BY owner, partner
    EXCEPT
    SELECT owner, partner, last_message_id, unread_count FROM msgsvc_conversations
)
UNION
SELECT 'a role that is not that of the partner', owner, partner
FROM msgsvc_conversations
WHERE partner_role IS NOT CAST(
    (SELECT role FROM users WHERE username = partner AND username = partner COLLATE BINARY) AS TEXT
);

-- name: select_mailbox_faults
-- Where the totals differ from the sum of the summaries; a mailbox may outlive its last conversation, with zeros.
SELECT owner
FROM (
    SELECT owner, total_unread, conversation_count, unread_conversation_count
    FROM msgsvc_mailboxes
    WHERE total_unread <> 0 OR conversation_count <> 0 OR unread_conversation_count <> 0
    EXCEPT
    SELECT owner, sum(unread_count), count(*), sum(unread_count > 0) FROM msgsvc_conversations GROUP BY owner
)
UNION
SELECT owner
FROM (
    SELECT owner, sum(unread_count) AS total, count(*), sum(unread_count > 0)
    FROM msgsvc_conversations
    GROUP BY owner
    EXCEPT
    SELECT owner, total_unread, conversation_count, unread_conversation_count FROM msgsvc_mailboxes
);
