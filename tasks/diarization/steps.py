"""The steps of a diarization, by the names that pyannote gives them."""

SEGMENTATION = "segmentation"
"""Where a pipeline keeps the segmentation of a file, in the file that it was given, and finds it when called again."""

SHARES = {"segmentation": (0.0, 0.3), "embeddings": (0.3, 0.95), "discrete_diarization": (0.95, 1.0)}
"""Which part of the whole each step of the pipeline takes, measured on a CPU; clustering has no step of its own."""
