-- Every message changes last_message_id and is written to each index that holds it. This one has only to find the
-- conversations that one person's partners see, and those that the person no longer sees are few enough to sort.
DROP INDEX msgsvc_conversations_by_partner;
CREATE INDEX msgsvc_conversations_by_partner ON msgsvc_conversations (partner);
