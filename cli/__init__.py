"""The command line: a client of Parley's HTTP API, and nothing else. It needs only httpx and rich."""

VERSION = "0.1.0"
"""The same as in pyproject.toml."""
