"""SQLite, the engine that needs nothing: one file, one writer at a time, group commit."""
