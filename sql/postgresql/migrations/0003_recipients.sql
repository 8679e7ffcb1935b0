-- The words by which people are found: those of the username and of the display name, where a host's users table has a
-- column of it, and each of the two as a whole. The role comes first because a user finds only some of them.
CREATE TABLE msgsvc_people_words (
    role text COLLATE "C" NOT NULL,
    word text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL,
    PRIMARY KEY (role, word, username)
);

CREATE INDEX msgsvc_people_words_by_username ON msgsvc_people_words (username, word);

-- The column of users that holds the display name; 'username' where there is none. One row.
CREATE TABLE msgsvc_display_name (column_name text NOT NULL);

INSERT INTO msgsvc_display_name (column_name) VALUES ('username');

-- The words of an account. A name that no URL can carry cannot be written to, so it is not listed.
CREATE FUNCTION msgsvc_words(username text, role text, display_name text) RETURNS SETOF msgsvc_people_words
LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce(role, ''), w.word, username
    FROM (
        SELECT DISTINCT s.word
        FROM
            unnest(ARRAY[username, display_name]) AS n (shown),
            LATERAL (SELECT regexp_split_to_table(n.shown, '[-._,@ ]') UNION SELECT n.shown) AS s (word)
    ) AS w
    WHERE w.word <> '' AND msgsvc_can_be_opened(username)
$$;

CREATE FUNCTION msgsvc_display_name_of(account jsonb) RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT account ->> column_name FROM msgsvc_display_name
$$;

-- Everything derived from messages and users, counted anew. Rights are only added.
CREATE FUNCTION msgsvc_recount() RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    DELETE FROM msgsvc_mailboxes;
    DELETE FROM msgsvc_conversations;
    INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count, partner_role)
    SELECT
        c.owner, c.partner, c.last_message_id, c.unread_count,
        (SELECT u.role::text FROM users AS u WHERE u.username = c.partner AND u.username::text = c.partner)
    FROM (
        SELECT owner, partner, max(id) AS last_message_id, count(*) FILTER (WHERE is_unread) AS unread_count
        FROM msgsvc_counted_messages
        GROUP BY owner, partner
    ) AS c;
    INSERT INTO msgsvc_mailboxes (owner, total_unread, conversation_count, unread_conversation_count, version)
    SELECT
        owner, sum(unread_count), count(*), count(*) FILTER (WHERE unread_count > 0), ((random() - 0.5) * 9e18)::bigint
    FROM msgsvc_conversations
    GROUP BY owner;
    INSERT INTO msgsvc_reply_rights (reader, writer)
    SELECT DISTINCT recipient_username::text, sender_username::text
    FROM messages
    WHERE sender_username::text COLLATE "C" <> recipient_username::text COLLATE "C"
    ON CONFLICT (reader, writer) DO NOTHING;
    DELETE FROM msgsvc_people_words;
    INSERT INTO msgsvc_people_words (role, word, username)
    SELECT w.role, w.word, w.username
    FROM users AS u
    CROSS JOIN LATERAL msgsvc_words(u.username::text, u.role::text, msgsvc_display_name_of(to_jsonb(u))) AS w;
$$;

SELECT msgsvc_recount();
