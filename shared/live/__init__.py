"""Live sessions: jobs whose recording is still arriving. Chunks, events, and who may write them."""
