"""What a page needs beside the calls of every client: sound, one stream of all tasks, sessions, links to share."""
