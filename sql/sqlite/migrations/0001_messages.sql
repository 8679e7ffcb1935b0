-- Which migrations have been applied, and the SHA-256 of each, so that a changed file is noticed.
CREATE TABLE msgsvc_migrations (
    name TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

-- The people and their messages. Both tables may belong to a host and are then taken as they are found:
-- the migration adds only the columns of messages that an older table lacks.
CREATE TABLE IF NOT EXISTS users (
    username TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sender_username TEXT NOT NULL,
    recipient_username TEXT NOT NULL,
    subject TEXT,
    content TEXT NOT NULL,
    is_read INTEGER DEFAULT 0,
    read_at TIMESTAMP,
    sent_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP,
    is_deleted_by_sender INTEGER DEFAULT 0,
    is_deleted_by_recipient INTEGER DEFAULT 0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (sender_username) REFERENCES users (username),
    FOREIGN KEY (recipient_username) REFERENCES users (username),
    CHECK (sender_username != recipient_username)
);

CREATE INDEX IF NOT EXISTS idx_messages_recipient ON messages (recipient_username, is_read);
CREATE INDEX IF NOT EXISTS idx_messages_conversation ON messages (sender_username, recipient_username);
CREATE INDEX IF NOT EXISTS idx_messages_deleted ON messages (deleted_at);

-- One index for each side of a conversation, holding only what that side still sees, so that neither history nor
-- the search for a predecessor ever steps over hidden messages.
CREATE INDEX msgsvc_messages_visible_to_sender ON messages (sender_username, recipient_username)
WHERE deleted_at IS NULL AND is_deleted_by_sender IS NOT TRUE;

CREATE INDEX msgsvc_messages_visible_to_recipient ON messages (recipient_username, sender_username)
WHERE deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE;

CREATE INDEX msgsvc_messages_unread ON messages (recipient_username, sender_username)
WHERE deleted_at IS NULL AND is_deleted_by_recipient IS NOT TRUE AND is_read IS NOT TRUE;
