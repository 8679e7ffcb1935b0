"""msgsvc serve: accept, parse, schedule, authorize, handle, commit, respond."""
