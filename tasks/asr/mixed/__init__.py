"""Recordings in which another language is spoken than in most of them."""
