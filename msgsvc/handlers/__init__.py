"""The handlers: each validates its input, runs one transaction (or snapshot), and builds the response."""
