"""Live sessions: sound goes to the server, text comes back meanwhile."""
