"""Listening to live sessions: `python -m tasks.live`, a process of threads that share one model."""
