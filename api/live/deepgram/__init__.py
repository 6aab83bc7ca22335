"""Deepgram's live API."""
