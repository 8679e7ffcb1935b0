-- Summaries derived from msgsvc_counted_messages, so that the inbox costs the same however long the history is.
-- partner_role is null where the partner has no account; the triggers on users keep it.
CREATE TABLE msgsvc_conversations (
    owner text COLLATE "C" NOT NULL,
    partner text COLLATE "C" NOT NULL,
    last_message_id bigint NOT NULL,
    unread_count integer NOT NULL,
    partner_role text COLLATE "C",
    PRIMARY KEY (owner, partner)
) WITH (fillfactor = 80);

CREATE INDEX msgsvc_conversations_newest ON msgsvc_conversations (owner, last_message_id);
CREATE INDEX msgsvc_conversations_by_partner ON msgsvc_conversations (partner);
CREATE INDEX msgsvc_conversations_by_message ON msgsvc_conversations (last_message_id);
CREATE INDEX msgsvc_conversations_unread ON msgsvc_conversations (owner, last_message_id) WHERE unread_count > 0;

-- version is drawn at random, not counted, so that a database restored from a backup cannot repeat one for other content.
CREATE TABLE msgsvc_mailboxes (
    owner text COLLATE "C" NOT NULL PRIMARY KEY,
    total_unread integer NOT NULL,
    conversation_count integer NOT NULL,
    unread_conversation_count integer NOT NULL,
    version bigint NOT NULL
) WITH (fillfactor = 80);

-- The sides for which a message counts, from the columns that decide it.
CREATE FUNCTION msgsvc_sides(
    sender text, recipient text, sender_sees boolean, recipient_sees boolean, is_read boolean
) RETURNS TABLE (owner text, partner text, unread integer) LANGUAGE sql IMMUTABLE AS $$
    SELECT s.owner, s.partner, s.unread
    FROM (
        VALUES (sender, recipient, 0, sender_sees), (recipient, sender, (NOT is_read)::integer, recipient_sees)
    ) AS s (owner, partner, unread, sees)
    WHERE s.sees
        AND s.owner COLLATE "C" <> s.partner COLLATE "C"
        AND msgsvc_can_be_opened(s.owner)
        AND msgsvc_can_be_opened(s.partner)
$$;

-- The newest message that a side sees of a conversation. The whole key of the index is compared and ordered by, so that
-- the planner takes it, however few messages it expects in a conversation.
CREATE FUNCTION msgsvc_newest(side text, other text) RETURNS bigint LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT greatest(
        (
            SELECT id
            FROM msgsvc_sent_messages
            WHERE (owner, partner) >= (side, other) AND (owner, partner) <= (side, other)
            ORDER BY owner DESC, partner DESC, id DESC
            LIMIT 1
        ),
        (
            SELECT id
            FROM msgsvc_received_messages
            WHERE (owner, partner) >= (side, other) AND (owner, partner) <= (side, other)
            ORDER BY owner DESC, partner DESC, id DESC
            LIMIT 1
        )
    )
$$;

-- How changes of messages change one side of a conversation: the newest message that the side began to see or still
-- sees, the newest that it ceased to see, and by how many it has more unread.
CREATE TYPE msgsvc_change AS (owner text, partner text, shown_id bigint, hidden_id bigint, unread integer);

-- The summaries of the sides concerned. Every writer locks them in one order (the conversations, then the mailboxes),
-- so that no two wait for each other; the changes come sorted by owner and partner. Plain statements on one row each:
-- the executor starts a statement of many parts more slowly than all of these.
CREATE FUNCTION msgsvc_count(changes msgsvc_change[]) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    change msgsvc_change;
    total msgsvc_mailboxes;
    totals msgsvc_mailboxes[];
    is_new boolean;
    last_id bigint;
    unread_now integer;
BEGIN
    FOREACH change IN ARRAY changes LOOP
        is_new := FALSE;
        LOOP
            UPDATE msgsvc_conversations
            SET last_message_id = greatest(last_message_id, change.shown_id), unread_count = unread_count + change.unread
            WHERE owner = change.owner AND partner = change.partner
            RETURNING last_message_id, unread_count INTO last_id, unread_now;
            EXIT WHEN FOUND OR change.shown_id IS NULL;
            INSERT INTO msgsvc_conversations (owner, partner, last_message_id, unread_count, partner_role)
            VALUES (
                change.owner, change.partner, change.shown_id, change.unread,
                (SELECT u.role::text FROM users AS u WHERE u.username = change.partner AND u.username::text = change.partner)
            )
            ON CONFLICT (owner, partner) DO NOTHING
            RETURNING last_message_id, unread_count INTO last_id, unread_now;
            is_new := FOUND;
            EXIT WHEN FOUND;
        END LOOP;
        total.owner := change.owner;
        total.total_unread := change.unread;
        total.conversation_count := is_new::integer;
        total.unread_conversation_count := (unread_now > 0)::integer - (unread_now > change.unread)::integer;
        IF change.hidden_id >= last_id THEN
            last_id := msgsvc_newest(change.owner, change.partner);
            IF last_id IS NULL THEN
                DELETE FROM msgsvc_conversations WHERE owner = change.owner AND partner = change.partner;
                total.conversation_count := total.conversation_count - 1;
            ELSE
                UPDATE msgsvc_conversations SET last_message_id = last_id
                WHERE owner = change.owner AND partner = change.partner;
            END IF;
        END IF;
        totals := totals || total;
    END LOOP;
    FOREACH total IN ARRAY totals LOOP
        INSERT INTO msgsvc_mailboxes AS m (owner, total_unread, conversation_count, unread_conversation_count, version)
        VALUES (
            total.owner, total.total_unread, total.conversation_count, total.unread_conversation_count,
            ((random() - 0.5) * 9e18)::bigint
        )
        ON CONFLICT (owner) DO UPDATE SET
            total_unread = m.total_unread + excluded.total_unread,
            conversation_count = m.conversation_count + excluded.conversation_count,
            unread_conversation_count = m.unread_conversation_count + excluded.unread_conversation_count,
            version = excluded.version;
    END LOOP;
END
$$;

-- The key of the advisory lock of a conversation. There are 4096 of them, because the server has room for only some
-- thousands of locks (max_locks_per_transaction) and a host may write to everybody in one transaction.
CREATE FUNCTION msgsvc_conversation_key(a text, b text) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN hashtextextended('msgsvc conversation', 0) / 4096 * 4096 + (
    hashtextextended(least(a COLLATE "C", b COLLATE "C") || chr(31) || greatest(a COLLATE "C", b COLLATE "C"), 0) & 4095
);

-- One writer at a time in a conversation. An id is drawn before the row is inserted, so a row that was overtaken while
-- it waited takes a new one: within a conversation ids become visible in their order. An id that the writer chose stays.
-- Times are UTC, also in a column without a time zone and whatever zone the writer's session has.
CREATE FUNCTION msgsvc_messages_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone TO 'UTC' AS $$
DECLARE
    newest bigint;
BEGIN
    new.sent_at := coalesce(new.sent_at, now());
    new.created_at := coalesce(new.created_at, now());
    PERFORM pg_advisory_xact_lock(msgsvc_conversation_key(new.sender_username::text, new.recipient_username::text));
    newest := greatest(
        (
            SELECT c.last_message_id
            FROM msgsvc_conversations AS c
            WHERE c.owner = new.sender_username::text AND c.partner = new.recipient_username::text
        ),
        (
            SELECT c.last_message_id
            FROM msgsvc_conversations AS c
            WHERE c.owner = new.recipient_username::text AND c.partner = new.sender_username::text
        )
    );
    IF newest > new.id THEN
        BEGIN
            IF new.id = currval(pg_get_serial_sequence(tg_relid::regclass::text, 'id')) THEN
                new.id := nextval(pg_get_serial_sequence(tg_relid::regclass::text, 'id'));
            END IF;
        EXCEPTION WHEN object_not_in_prerequisite_state THEN
            NULL;
        END;
    END IF;
    RETURN new;
END
$$;

-- Ids are drawn beyond one that the writer chose, as in SQLite. setval() would take back what others draw at the same
-- moment, so it is used only for a jump that they cannot make up in that moment.
CREATE FUNCTION msgsvc_draw_beyond(messages regclass, chosen_id bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    sequence regclass := pg_get_serial_sequence(messages::text, 'id');
    drawn_id bigint := coalesce(pg_sequence_last_value(sequence), 0);
BEGIN
    IF chosen_id > drawn_id + 10000 THEN
        PERFORM setval(sequence, chosen_id);
        RETURN;
    END IF;
    WHILE chosen_id > drawn_id LOOP
        drawn_id := nextval(sequence);
    END LOOP;
END
$$;

-- Who has ever written to whom. Nothing is taken out with the messages: a clinician's message opens the reply for good.
-- Only when a name is forgotten, so that it may be given to somebody else, are its rights closed.
CREATE TABLE msgsvc_reply_rights (
    reader text COLLATE "C" NOT NULL,
    writer text COLLATE "C" NOT NULL,
    is_open integer NOT NULL DEFAULT 1,
    PRIMARY KEY (reader, writer)
);

CREATE INDEX msgsvc_reply_rights_by_writer ON msgsvc_reply_rights (writer);

CREATE FUNCTION msgsvc_messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM msgsvc_count(
        array_agg(
            ROW(c.owner, c.partner, c.id, NULL, c.unread)::msgsvc_change
            ORDER BY c.owner COLLATE "C", c.partner COLLATE "C"
        )
    )
    FROM (
        SELECT s.owner, s.partner, max(m.id) AS id, sum(s.unread) AS unread
        FROM rows_after AS m
        CROSS JOIN LATERAL msgsvc_sides(
            m.sender_username::text, m.recipient_username::text, msgsvc_sees(m.deleted_at, m.is_deleted_by_sender),
            msgsvc_sees(m.deleted_at, m.is_deleted_by_recipient), msgsvc_is_set(m.is_read)
        ) AS s
        GROUP BY s.owner, s.partner
    ) AS c;
    INSERT INTO msgsvc_reply_rights AS r (reader, writer)
    SELECT DISTINCT m.recipient_username::text COLLATE "C", m.sender_username::text COLLATE "C"
    FROM rows_after AS m
    WHERE m.sender_username::text COLLATE "C" <> m.recipient_username::text COLLATE "C"
        -- ON CONFLICT would lock the row of a right that is open already, and write that to the log.
        AND NOT EXISTS (
            SELECT 1
            FROM msgsvc_reply_rights AS o
            WHERE o.reader = m.recipient_username::text COLLATE "C"
                AND o.writer = m.sender_username::text COLLATE "C"
                AND o.is_open <> 0
        )
    ORDER BY 1, 2
    ON CONFLICT (reader, writer) DO UPDATE SET is_open = 1 WHERE r.is_open = 0;
    PERFORM msgsvc_draw_beyond(tg_relid, max(m.id)) FROM rows_after AS m;
    RETURN NULL;
END
$$;

CREATE FUNCTION msgsvc_messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM msgsvc_count(
        array_agg(
            ROW(c.owner, c.partner, NULL, c.id, c.unread)::msgsvc_change
            ORDER BY c.owner COLLATE "C", c.partner COLLATE "C"
        )
    )
    FROM (
        SELECT s.owner, s.partner, max(m.id) AS id, -sum(s.unread) AS unread
        FROM rows_before AS m
        CROSS JOIN LATERAL msgsvc_sides(
            m.sender_username::text, m.recipient_username::text, msgsvc_sees(m.deleted_at, m.is_deleted_by_sender),
            msgsvc_sees(m.deleted_at, m.is_deleted_by_recipient), msgsvc_is_set(m.is_read)
        ) AS s
        GROUP BY s.owner, s.partner
    ) AS c;
    RETURN NULL;
END
$$;

-- A side that sees the same as before is left alone: its ETag does not tell what the other side did.
CREATE FUNCTION msgsvc_messages_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM msgsvc_count(
        array_agg(
            ROW(d.owner, d.partner, d.shown_id, d.hidden_id, d.unread)::msgsvc_change
            ORDER BY d.owner COLLATE "C", d.partner COLLATE "C"
        )
    )
    FROM (
        SELECT
            owner,
            partner,
            max(id) FILTER (WHERE c.sees) AS shown_id,
            max(id) FILTER (WHERE NOT c.sees) AS hidden_id,
            sum(c.unread) AS unread
        FROM (
            SELECT
                owner,
                partner,
                id,
                a.unread IS NOT NULL AS sees,
                coalesce(a.unread, 0) - coalesce(b.unread, 0) AS unread,
                a.shown_row IS DISTINCT FROM b.shown_row AS is_shown_otherwise
            FROM (
                SELECT
                    s.owner, s.partner, m.id, s.unread,
                    ROW(m.sender_username::text, m.content::text, m.sent_at)::text AS shown_row
                FROM rows_after AS m
                CROSS JOIN LATERAL msgsvc_sides(
                    m.sender_username::text, m.recipient_username::text, msgsvc_sees(m.deleted_at, m.is_deleted_by_sender),
                    msgsvc_sees(m.deleted_at, m.is_deleted_by_recipient), msgsvc_is_set(m.is_read)
                ) AS s
            ) AS a
            FULL JOIN (
                SELECT
                    s.owner, s.partner, m.id, s.unread,
                    ROW(m.sender_username::text, m.content::text, m.sent_at)::text AS shown_row
                FROM rows_before AS m
                CROSS JOIN LATERAL msgsvc_sides(
                    m.sender_username::text, m.recipient_username::text, msgsvc_sees(m.deleted_at, m.is_deleted_by_sender),
                    msgsvc_sees(m.deleted_at, m.is_deleted_by_recipient), msgsvc_is_set(m.is_read)
                ) AS s
            ) AS b USING (owner, partner, id)
        ) AS c
        WHERE c.unread <> 0 OR c.is_shown_otherwise
        GROUP BY owner, partner
    ) AS d;
    IF EXISTS (
        SELECT id, sender_username::text COLLATE "C", recipient_username::text COLLATE "C" FROM rows_after
        EXCEPT ALL
        SELECT id, sender_username::text COLLATE "C", recipient_username::text COLLATE "C" FROM rows_before
    ) THEN
        INSERT INTO msgsvc_reply_rights AS r (reader, writer)
        SELECT DISTINCT a.recipient_username::text COLLATE "C", a.sender_username::text COLLATE "C"
        FROM rows_after AS a
        WHERE a.sender_username::text COLLATE "C" <> a.recipient_username::text COLLATE "C"
            AND NOT EXISTS (
                SELECT 1
                FROM rows_before AS b
                WHERE b.id = a.id
                    AND b.sender_username::text COLLATE "C" = a.sender_username::text COLLATE "C"
                    AND b.recipient_username::text COLLATE "C" = a.recipient_username::text COLLATE "C"
            )
            -- A foreign key that cascades a rename opens no right that msgsvc_rename() has taken over closed.
            AND NOT EXISTS (
                SELECT 1
                FROM rows_before AS b
                INNER JOIN msgsvc_reply_rights AS o
                    ON o.reader = a.recipient_username::text AND o.writer = a.sender_username::text
                WHERE b.id = a.id
                    AND (SELECT count(*) FROM users WHERE username IN (b.sender_username, b.recipient_username)) < 2
            )
        ORDER BY 1, 2
        ON CONFLICT (reader, writer) DO UPDATE SET is_open = 1 WHERE r.is_open = 0;
        PERFORM msgsvc_draw_beyond(tg_relid, max(m.id)) FROM rows_after AS m;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION msgsvc_messages_after_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM msgsvc_conversations;
    DELETE FROM msgsvc_mailboxes;
    RETURN NULL;
END
$$;

CREATE TRIGGER msgsvc_messages_before_insert BEFORE INSERT ON messages
FOR EACH ROW EXECUTE FUNCTION msgsvc_messages_before_insert();

CREATE TRIGGER msgsvc_messages_after_insert AFTER INSERT ON messages
REFERENCING NEW TABLE AS rows_after FOR EACH STATEMENT EXECUTE FUNCTION msgsvc_messages_after_insert();

CREATE TRIGGER msgsvc_messages_after_update AFTER UPDATE ON messages
REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_after
FOR EACH STATEMENT EXECUTE FUNCTION msgsvc_messages_after_update();

CREATE TRIGGER msgsvc_messages_after_delete AFTER DELETE ON messages
REFERENCING OLD TABLE AS rows_before FOR EACH STATEMENT EXECUTE FUNCTION msgsvc_messages_after_delete();

CREATE TRIGGER msgsvc_messages_after_truncate AFTER TRUNCATE ON messages
FOR EACH STATEMENT EXECUTE FUNCTION msgsvc_messages_after_truncate();
