"""The handlers: where HTTP meets SQL. Each takes its input apart, opens a transaction, and answers."""
