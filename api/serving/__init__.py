"""The server around the app: its connections, its end, and whom it takes its callers for."""
