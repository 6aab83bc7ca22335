"""Children that handle a stranger's bytes or pages, and what locks them in."""
