"""Finished transcripts: their formats, and what a person corrects in them."""
