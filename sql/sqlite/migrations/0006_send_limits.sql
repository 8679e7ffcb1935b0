-- When the sender's allowance is used up to, in seconds since the epoch: every message moves it on by one interval.
CREATE TABLE msgsvc_send_limits (
    sender TEXT NOT NULL PRIMARY KEY,
    used_up_to REAL NOT NULL
) WITHOUT ROWID;
