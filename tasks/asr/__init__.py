"""Speech recognition: where somebody talks, in which language, and what is said."""
