"""The gateway: HTTP in, JSON out. It never decodes media and never loads a model."""

VERSION = "0.1.0"
"""The same as in pyproject.toml."""
