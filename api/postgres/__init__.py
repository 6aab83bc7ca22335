"""The event loop's own connections to PostgreSQL: one statement for a poll, and one connection that hears of news."""
