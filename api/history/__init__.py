"""The history of a key: found by filters and words, and handed out as a file."""
