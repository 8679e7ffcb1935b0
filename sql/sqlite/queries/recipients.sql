-- name: select_sending_facts
-- Everything that decides whether the sender may write to the recipient; no row where there is no recipient.
-- The name is compared twice because a host's column may fold case, and names are compared exactly.
SELECT
    (SELECT role FROM users WHERE username = :sender AND username = :sender COLLATE BINARY),
    r.role,
    EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = :sender),
    EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = :recipient),
    EXISTS (SELECT 1 FROM msgsvc_blocks WHERE blocker = :recipient AND blocked = :sender),
    EXISTS (SELECT 1 FROM msgsvc_reply_rights WHERE reader = :sender AND writer = :recipient AND is_open)
FROM users AS r
WHERE r.username = :recipient AND r.username = :recipient COLLATE BINARY;

-- name: select_people_by_word
-- The people of one role who are not suspended and have a word that begins with the prefix: each once, by that word.
-- Whether a block counts depends on the two roles. The words may be stale where a host replaced a row of users.
SELECT w.username, w.role, w.word
FROM msgsvc_people_words AS w
WHERE w.role = :role
    AND w.word >= :prefix
    AND w.word < :prefix || char(1114111)
    AND substr(w.word, 1, length(:prefix)) = :prefix
    AND w.username <> :sender
    AND NOT EXISTS (
        SELECT 1
        FROM msgsvc_people_words AS earlier
        WHERE earlier.username = w.username AND earlier.word < w.word AND earlier.word >= :prefix
    )
    AND NOT EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = w.username)
    AND NOT (
        :a_block_counts
        AND EXISTS (SELECT 1 FROM msgsvc_blocks AS b WHERE b.blocker = w.username AND b.blocked = :sender)
    )
    AND EXISTS (
        SELECT 1
        FROM users AS u
        WHERE u.username = w.username AND u.username = w.username COLLATE BINARY AND u.role = w.role
    )
ORDER BY w.word, w.username
LIMIT :limit;

-- name: select_writers_by_word
-- The same, for a role to which the sender may only reply: the people who have written to the sender.
-- The search starts from the sender's reply rights, not from all people of the role.
SELECT w.username, w.role, w.word
FROM msgsvc_reply_rights AS r
CROSS JOIN msgsvc_people_words AS w
WHERE r.reader = :sender
    AND r.is_open
    AND w.username = r.writer
    AND +w.role = :role
    AND w.word >= :prefix
    AND w.word < :prefix || char(1114111)
    AND substr(w.word, 1, length(:prefix)) = :prefix
    AND NOT EXISTS (
        SELECT 1
        FROM msgsvc_people_words AS earlier
        WHERE earlier.username = w.username AND earlier.word < w.word AND earlier.word >= :prefix
    )
    AND NOT EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = w.username)
    AND NOT (
        :a_block_counts
        AND EXISTS (SELECT 1 FROM msgsvc_blocks AS b WHERE b.blocker = w.username AND b.blocked = :sender)
    )
    AND EXISTS (
        SELECT 1
        FROM users AS u
        WHERE u.username = w.username AND u.username = w.username COLLATE BINARY AND u.role = w.role
    );
