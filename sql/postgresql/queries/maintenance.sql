-- name: select_conversation_faults
-- Where the summaries differ from a full recount.
SELECT 'summary without messages, or with wrong figures', f.owner, f.partner
FROM (
    SELECT owner, partner, last_message_id, CAST(unread_count AS bigint) FROM msgsvc_conversations
    EXCEPT
    SELECT owner, partner, max(id), count(*) FILTER (WHERE is_unread) FROM msgsvc_counted_messages GROUP BY owner, partner
) AS f
UNION
SELECT 'messages without summary, or with a wrong one', f.owner, f.partner
FROM (
    SELECT owner, partner, max(id), count(*) FILTER (WHERE is_unread) FROM msgsvc_counted_messages GROUP BY owner, partner
    EXCEPT
    SELECT owner, partner, last_message_id, CAST(unread_count AS bigint) FROM msgsvc_conversations
) AS f
UNION
SELECT 'a role that is not that of the partner', c.owner, c.partner
FROM msgsvc_conversations AS c
LEFT JOIN users AS u ON u.username = c.partner AND u.username::text = c.partner
WHERE c.partner_role IS DISTINCT FROM u.role::text;

-- name: select_mailbox_faults
-- Where the totals differ from the sum of the summaries; a mailbox may outlive its last conversation, with zeros.
SELECT f.owner
FROM (
    SELECT owner, CAST(total_unread AS bigint), CAST(conversation_count AS bigint), CAST(unread_conversation_count AS bigint)
    FROM msgsvc_mailboxes
    WHERE total_unread <> 0 OR conversation_count <> 0 OR unread_conversation_count <> 0
    EXCEPT
    SELECT owner, sum(unread_count), count(*), count(*) FILTER (WHERE unread_count > 0)
    FROM msgsvc_conversations
    GROUP BY owner
) AS f
UNION
SELECT f.owner
FROM (
    SELECT owner, sum(unread_count), count(*), count(*) FILTER (WHERE unread_count > 0)
    FROM msgsvc_conversations
    GROUP BY owner
    EXCEPT
    SELECT owner, CAST(total_unread AS bigint), CAST(conversation_count AS bigint), CAST(unread_conversation_count AS bigint)
    FROM msgsvc_mailboxes
) AS f;
