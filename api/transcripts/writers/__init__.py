"""A file per family of formats that is not JSON or subtitles in plain text."""
