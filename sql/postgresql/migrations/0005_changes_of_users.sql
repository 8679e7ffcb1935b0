-- The role of a partner, and with it the version of each inbox that shows it.
CREATE FUNCTION msgsvc_set_partner_role(name text, new_role text) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH changed AS (
        UPDATE msgsvc_conversations
        SET partner_role = new_role
        WHERE partner = name AND partner_role IS DISTINCT FROM new_role
        RETURNING owner
    )
    UPDATE msgsvc_mailboxes
    SET version = ((random() - 0.5) * 9e18)::bigint
    WHERE owner IN (SELECT owner FROM changed);
$$;

-- What hangs on an account follows its row in users, also where a host's own code writes it. Who removes an account
-- ends its access too. Suspension and blocks stay: a host may delete and insert a row to change it, and that must not
-- lift them. A renamed account keeps its messages, blocks, suspension, sessions and password; what an earlier owner of
-- the new name left behind gives way.
CREATE FUNCTION msgsvc_users_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    old_name text := CASE WHEN tg_op <> 'INSERT' THEN old.username::text END;
    new_name text := CASE WHEN tg_op <> 'DELETE' THEN new.username::text END;
BEGIN
    IF tg_op = 'UPDATE'
        AND (new_name COLLATE "C", new.role::text COLLATE "C", msgsvc_display_name_of(to_jsonb(new)))
            IS NOT DISTINCT FROM (old_name, old.role::text, msgsvc_display_name_of(to_jsonb(old)))
    THEN
        RETURN NULL;
    END IF;
    DELETE FROM msgsvc_people_words WHERE username IN (old_name, new_name);
    IF new_name IS DISTINCT FROM old_name AND old_name IS NOT NULL THEN
        PERFORM msgsvc_set_partner_role(old_name, NULL);
    END IF;
    IF new_name IS NULL THEN
        DELETE FROM msgsvc_sessions WHERE username = old_name;
        DELETE FROM msgsvc_credentials WHERE username = old_name;
        RETURN NULL;
    END IF;
    INSERT INTO msgsvc_people_words (role, word, username)
    SELECT w.role, w.word, w.username
    FROM msgsvc_words(new_name, new.role::text, msgsvc_display_name_of(to_jsonb(new))) AS w;
    IF old_name IS NOT NULL AND new_name COLLATE "C" <> old_name COLLATE "C" THEN
        PERFORM msgsvc_rename(old_name, new_name);
    END IF;
    PERFORM msgsvc_set_partner_role(new_name, new.role::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION msgsvc_rename(old_name text, new_name text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET sender_username = new_name
    WHERE sender_username = old_name AND sender_username::text COLLATE "C" = old_name;
    UPDATE messages SET recipient_username = new_name
    WHERE recipient_username = old_name AND recipient_username::text COLLATE "C" = old_name;
    DELETE FROM msgsvc_reply_rights AS r
    WHERE (r.reader = new_name AND EXISTS (
        SELECT 1 FROM msgsvc_reply_rights AS o WHERE o.reader = old_name AND o.writer = r.writer
    )) OR (r.writer = new_name AND EXISTS (
        SELECT 1 FROM msgsvc_reply_rights AS o WHERE o.writer = old_name AND o.reader = r.reader
    ));
    UPDATE msgsvc_reply_rights SET reader = new_name WHERE reader = old_name;
    UPDATE msgsvc_reply_rights SET writer = new_name WHERE writer = old_name;
    DELETE FROM msgsvc_blocks AS b
    WHERE (b.blocker = new_name AND EXISTS (
        SELECT 1 FROM msgsvc_blocks AS o WHERE o.blocker = old_name AND o.blocked = b.blocked
    )) OR (b.blocked = new_name AND EXISTS (
        SELECT 1 FROM msgsvc_blocks AS o WHERE o.blocked = old_name AND o.blocker = b.blocker
    ));
    UPDATE msgsvc_blocks SET blocker = new_name WHERE blocker = old_name;
    UPDATE msgsvc_blocks SET blocked = new_name WHERE blocked = old_name;
    DELETE FROM msgsvc_suspensions
    WHERE username = new_name AND EXISTS (SELECT 1 FROM msgsvc_suspensions WHERE username = old_name);
    UPDATE msgsvc_suspensions SET username = new_name WHERE username = old_name;
    DELETE FROM msgsvc_credentials
    WHERE username = new_name AND EXISTS (SELECT 1 FROM msgsvc_credentials WHERE username = old_name);
    UPDATE msgsvc_credentials SET username = new_name WHERE username = old_name;
    DELETE FROM msgsvc_idempotency_keys AS k
    WHERE k.sender = new_name AND EXISTS (
        SELECT 1 FROM msgsvc_idempotency_keys AS o WHERE o.sender = old_name AND o.idempotency_key = k.idempotency_key
    );
    UPDATE msgsvc_idempotency_keys SET sender = new_name WHERE sender = old_name;
    UPDATE msgsvc_sessions SET username = new_name WHERE username = old_name;
$$;

CREATE FUNCTION msgsvc_users_after_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM msgsvc_sessions;
    DELETE FROM msgsvc_credentials;
    PERFORM msgsvc_recount();
    RETURN NULL;
END
$$;

CREATE TRIGGER msgsvc_users_after_change AFTER INSERT OR UPDATE OR DELETE ON users
FOR EACH ROW EXECUTE FUNCTION msgsvc_users_after_change();

CREATE TRIGGER msgsvc_users_after_truncate AFTER TRUNCATE ON users
FOR EACH STATEMENT EXECUTE FUNCTION msgsvc_users_after_truncate();

-- These run with the rights of their owner. A trigger runs one whoever writes the row; nobody else may call it.
REVOKE EXECUTE ON FUNCTION
    msgsvc_count(msgsvc_change[]),
    msgsvc_rename(text, text),
    msgsvc_messages_before_insert(),
    msgsvc_messages_after_insert(),
    msgsvc_messages_after_update(),
    msgsvc_messages_after_delete(),
    msgsvc_messages_after_truncate(),
    msgsvc_users_after_change(),
    msgsvc_users_after_truncate()
FROM public;
