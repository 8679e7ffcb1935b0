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
SELECT id, is_sent, subject, content, is_read, read_at, sent_at
FROM msgsvc_visible_messages
WHERE owner = :a AND partner = :b AND id <= :up_to
UNION ALL
SELECT id, NOT is_sent, subject, content, is_read, read_at, sent_at
FROM msgsvc_visible_messages AS of_the_other
WHERE owner = :b
    AND partner = :a
    AND id <= :up_to
    AND NOT EXISTS (
        SELECT 1 FROM msgsvc_visible_messages AS v WHERE v.id = of_the_other.id AND v.owner = :a
    )
ORDER BY id DESC
LIMIT :limit;

-- name: select_audit
-- Newest first.
SELECT id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at
FROM msgsvc_audit
WHERE id <= :up_to
ORDER BY id DESC
LIMIT :limit;

-- name: select_audit_by_actor
-- What one account did; all actions where :action is null.
SELECT id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at
FROM msgsvc_audit
WHERE actor = :actor AND (CAST(:action AS text) IS NULL OR action = :action) AND id <= :up_to
ORDER BY id DESC
LIMIT :limit;

-- name: select_audit_by_action
-- One action.
SELECT id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at
FROM msgsvc_audit
WHERE action = :action AND id <= :up_to
ORDER BY id DESC
LIMIT :limit;

-- name: select_audit_by_username
-- What is about one account, as the subject or as one of two participants; all actors and actions where they are null.
SELECT id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at
FROM msgsvc_audit
WHERE subject = :username
    AND (CAST(:actor AS text) IS NULL OR actor = :actor)
    AND (CAST(:action AS text) IS NULL OR action = :action)
    AND id <= :up_to
UNION ALL
SELECT id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at
FROM msgsvc_audit
WHERE participant_a = :username
    AND (CAST(:actor AS text) IS NULL OR actor = :actor)
    AND (CAST(:action AS text) IS NULL OR action = :action)
    AND id <= :up_to
UNION ALL
SELECT id, actor, source, action, subject, participant_a, participant_b, reason, request_id, at
FROM msgsvc_audit
WHERE participant_b = :username
    AND (CAST(:actor AS text) IS NULL OR actor = :actor)
    AND (CAST(:action AS text) IS NULL OR action = :action)
    AND id <= :up_to
ORDER BY id DESC
LIMIT :limit;

-- name: insert_audit
-- Who looked at what, when and why.
INSERT INTO msgsvc_audit (actor, source, action, subject, participant_a, participant_b, reason, request_id, at)
VALUES (:actor, :source, :action, :subject, :participant_a, :participant_b, :reason, :request_id, :at);

-- name: insert_audit_once_a_minute
-- Who changed what. The same once more within a minute adds nothing, so that nobody can fill the disk by repeating it.
SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws(' ', 'msgsvc audit', CAST(:actor AS text), CAST(:action AS text), CAST(:subject AS text)), 0)
);
INSERT INTO msgsvc_audit (actor, source, action, subject, reason, request_id, at)
SELECT
    CAST(:actor AS text), CAST(:source AS text), CAST(:action AS text), CAST(:subject AS text), CAST(:reason AS text),
    :request_id, CAST(:at AS text)
WHERE NOT EXISTS (
    SELECT 1
    FROM msgsvc_audit
    WHERE actor IS NOT DISTINCT FROM :actor
        AND action = :action
        AND subject IS NOT DISTINCT FROM :subject
        AND at > :minute_ago
        AND at <= :at
        AND source = :source
        AND reason IS NOT DISTINCT FROM :reason
);
