-- The first answer to a send that carried an Idempotency-Key, kept in the transaction that stored the message.
CREATE TABLE msgsvc_idempotency_keys (
    sender TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_digest BLOB NOT NULL,
    message_id INTEGER NOT NULL,
    sent_at TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (sender, idempotency_key)
) WITHOUT ROWID;

CREATE INDEX msgsvc_idempotency_keys_oldest ON msgsvc_idempotency_keys (created_at);
