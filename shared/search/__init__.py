"""What the history is searched by: entries of tasks, and the query that is compared with them."""
