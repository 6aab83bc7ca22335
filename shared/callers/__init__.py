"""API keys: what they may use, what they may keep here, and what they have used."""
