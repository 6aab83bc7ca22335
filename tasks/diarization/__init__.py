"""pyannote's speaker diarization: its weights, and its costs bounded."""
