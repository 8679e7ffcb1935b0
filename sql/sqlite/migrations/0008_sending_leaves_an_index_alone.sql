-- Every message changes last_message_id and is written to each index that holds it. This one has only to find what the
-- partners of one person see, of which little is left to be sorted: what they see alone, or newer messages of.
DROP INDEX msgsvc_conversations_by_partner;
CREATE INDEX msgsvc_conversations_by_partner ON msgsvc_conversations (partner);
