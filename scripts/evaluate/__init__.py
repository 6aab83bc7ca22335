"""How right the transcripts are: recordings with known words and turns, systems that hear them, and their errors."""
