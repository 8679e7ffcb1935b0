-- name: select_sending_facts
-- Everything that decides whether the sender may write to the recipient; no row where there is no recipient.
-- The names are compared twice because a host's column may fold case, and names are compared exactly. A host's role may be
-- of a type of its own.
-- Who writes holds the recipient too, so that no block, suspension or change of role comes in between; and the
-- conversation, for insert_message.
SELECT pg_advisory_xact_lock_shared(hashtextextended('msgsvc account ' || CAST(:recipient AS text), 0));
SELECT pg_advisory_xact_lock(msgsvc_conversation_key(:sender, :recipient));
SELECT
    (SELECT role::text FROM users WHERE username = :sender AND username::text COLLATE "C" = :sender),
    r.role::text,
    EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = :sender),
    EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = :recipient),
    EXISTS (SELECT 1 FROM msgsvc_blocks WHERE blocker = :recipient AND blocked = :sender),
    EXISTS (SELECT 1 FROM msgsvc_reply_rights WHERE reader = :sender AND writer = :recipient AND is_open <> 0)
FROM users AS r
WHERE r.username = :recipient AND r.username::text COLLATE "C" = :recipient;

-- name: select_people_by_word
-- Those of one role who can be written to and have a word that begins with the prefix, by that word, each once.
-- Whether a block counts depends on the two roles. The words may be older than a row that a host replaced in users.
SELECT w.username, w.role, w.word
FROM msgsvc_people_words AS w
WHERE w.role = :role
    AND w.word >= :prefix
    AND w.word < CAST(:prefix AS text) || chr(1114111)
    AND starts_with(w.word, :prefix)
    AND w.username <> :sender
    AND NOT EXISTS (
        SELECT 1
        FROM msgsvc_people_words AS earlier
        WHERE earlier.username = w.username AND earlier.word < w.word AND earlier.word >= :prefix
    )
    AND NOT EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = w.username)
    AND NOT (
        CAST(:a_block_counts AS integer) <> 0
        AND EXISTS (SELECT 1 FROM msgsvc_blocks AS b WHERE b.blocker = w.username AND b.blocked = :sender)
    )
    AND EXISTS (
        SELECT 1
        FROM users AS u
        WHERE u.username = w.username AND u.username::text = w.username AND u.role::text = w.role
    )
ORDER BY w.word, w.username
LIMIT :limit;

-- name: select_writers_by_word
-- The same, of those of one role to whom the sender may write only as a reply: who has written to the sender.
-- The search begins with them, not with all who have the role.
SELECT w.username, w.role, w.word
FROM msgsvc_reply_rights AS r
INNER JOIN msgsvc_people_words AS w ON w.username = r.writer
WHERE r.reader = :sender
    AND r.is_open <> 0
    AND w.role = :role
    AND w.word >= :prefix
    AND w.word < CAST(:prefix AS text) || chr(1114111)
    AND starts_with(w.word, :prefix)
    AND NOT EXISTS (
        SELECT 1
        FROM msgsvc_people_words AS earlier
        WHERE earlier.username = w.username AND earlier.word < w.word AND earlier.word >= :prefix
    )
    AND NOT EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = w.username)
    AND NOT (
        CAST(:a_block_counts AS integer) <> 0
        AND EXISTS (SELECT 1 FROM msgsvc_blocks AS b WHERE b.blocker = w.username AND b.blocked = :sender)
    )
    AND EXISTS (
        SELECT 1
        FROM users AS u
        WHERE u.username = w.username AND u.username::text = w.username AND u.role::text = w.role
    );
