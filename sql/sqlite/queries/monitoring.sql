-- name: select_all_conversations
-- Every conversation that at least one side still sees, once, by the newest message that either sees.
SELECT c.owner, c.partner, m.sent_at, c.last_message_id
FROM msgsvc_conversations AS c
INNER JOIN messages AS m ON m.id = c.last_message_id
WHERE NOT EXISTS (
    SELECT 1
    FROM msgsvc_conversations AS other
    WHERE other.owner = c.partner
        AND other.partner = c.owner
        AND (other.last_message_id, other.partner) > (c.last_message_id, c.partner)
)
ORDER BY c.last_message_id DESC
LIMIT :limit OFFSET :offset;

-- name: select_all_conversations_by_username
-- The same, of one person: what the person sees; and what the partner sees alone, or newer messages of.
SELECT c.owner, c.partner, m.sent_at, c.last_message_id AS id
FROM msgsvc_conversations AS c
INNER JOIN messages AS m ON m.id = c.last_message_id
WHERE c.owner = :username
    AND NOT EXISTS (
        SELECT 1
        FROM msgsvc_conversations AS other
        WHERE other.owner = c.partner AND other.partner = c.owner AND other.last_message_id > c.last_message_id
    )
UNION ALL
SELECT c.owner, c.partner, m.sent_at, c.last_message_id AS id
FROM msgsvc_conversations AS c
INNER JOIN messages AS m ON m.id = c.last_message_id
WHERE c.partner = :username
    AND NOT EXISTS (
        SELECT 1
        FROM msgsvc_conversations AS other
        WHERE other.owner = c.partner AND other.partner = c.owner AND other.last_message_id >= c.last_message_id
    )
ORDER BY id DESC
LIMIT :limit OFFSET :offset;

-- name: select_monitored_messages
-- What at least one side still sees, once, newest first. The second column: whether :a sent it.
-- The names are compared twice because a host's column may fold case, and names are compared exactly.
SELECT id, sender IS owner COLLATE BINARY, subject, content, is_read, read_at, sent_at
FROM msgsvc_visible_messages
WHERE owner = :a
    AND partner = :b
    AND owner = :a COLLATE BINARY
    AND partner = :b COLLATE BINARY
    AND id <= :up_to
UNION ALL
SELECT id, sender IS NOT owner COLLATE BINARY, subject, content, is_read, read_at, sent_at
FROM msgsvc_visible_messages AS of_the_other
WHERE owner = :b
    AND partner = :a
    AND owner = :b COLLATE BINARY
    AND partner = :a COLLATE BINARY
    AND id <= :up_to
    AND NOT EXISTS (
        SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = of_the_other.id AND v.owner = :a
    )
ORDER BY id DESC
LIMIT :limit;

-- name: select_audit
-- Newest first.
SELECT id, actor, action, subject, reason, request_id, at
FROM msgsvc_audit
WHERE id <= :up_to
ORDER BY id DESC
LIMIT :limit;

-- name: insert_audit
-- Who looked at or changed what, when and why.
INSERT INTO msgsvc_audit (actor, action, subject, reason, request_id, at)
VALUES (:actor, :action, :subject, :reason, :request_id, :at);

-- name: insert_audit_of_denial
-- At most one a minute for the same actor and subject, so that nobody can fill the disk by asking.
INSERT INTO msgsvc_audit (actor, action, subject, request_id, at)
SELECT :actor, :action, :subject, :request_id, :at
WHERE NOT EXISTS (
    SELECT 1 FROM msgsvc_audit WHERE actor = :actor AND action = :action AND subject = :subject AND at > :minute_ago
);
