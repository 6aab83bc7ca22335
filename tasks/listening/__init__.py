"""Recognition of speech while it arrives: where utterances begin and end, and their words so far."""
