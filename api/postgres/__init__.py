"""The event loop's own connections to PostgreSQL: one statement for a poll, one for a submission,
and one connection that hears of news.
"""
