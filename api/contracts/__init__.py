"""Other people's APIs over the same jobs. Each is a thin translation; docs/contracts.md has the whole mapping."""
