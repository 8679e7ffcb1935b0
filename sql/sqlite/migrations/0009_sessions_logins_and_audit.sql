CREATE INDEX msgsvc_blocks_by_blocked ON msgsvc_blocks (blocked);
