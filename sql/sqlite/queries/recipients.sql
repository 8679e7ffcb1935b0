-- name: select_sending_facts
-- Everything that decides whether the sender may write to the recipient; no row where there is no recipient.
-- The name is compared twice because a host's column may fold case, and names are compared exactly.
SELECT
    (SELECT role FROM users WHERE username = :sender AND username = :sender COLLATE BINARY),
    r.role,
    EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = :sender),
    EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = :recipient),
    EXISTS (SELECT 1 FROM msgsvc_blocks WHERE blocker = :recipient AND blocked = :sender),
    EXISTS (SELECT 1 FROM messages WHERE sender_username = :recipient AND recipient_username = :sender)
FROM users AS r
WHERE r.username = :recipient AND r.username = :recipient COLLATE BINARY;

-- name: select_recipient_candidates
-- The facts for everyone whose name begins with the prefix. Other users are found by a user only by exact name.
-- Clinicians whom the reply rule would refuse are left out here, where that costs least.
SELECT
    r.username,
    r.role,
    EXISTS (SELECT 1 FROM msgsvc_suspensions AS s WHERE s.username = r.username),
    EXISTS (SELECT 1 FROM msgsvc_blocks AS b WHERE b.blocker = r.username AND b.blocked = :sender),
    EXISTS (SELECT 1 FROM messages AS m WHERE m.sender_username = r.username AND m.recipient_username = :sender)
FROM users AS r
WHERE r.username >= :prefix
    AND r.username < :prefix || char(1114111)
    AND substr(r.username, 1, length(:prefix)) = :prefix
    AND r.username <> :sender
    AND (
        :sender_role <> 'user'
        OR r.role NOT IN ('user', 'clinician')
        OR (r.role = 'user' AND r.username = :prefix)
        OR (
            r.role = 'clinician'
            AND EXISTS (
                SELECT 1 FROM messages AS m WHERE m.sender_username = r.username AND m.recipient_username = :sender
            )
        )
    )
ORDER BY r.username;
