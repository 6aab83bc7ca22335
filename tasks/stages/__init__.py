"""One module per stage: bytes and options in, bytes out; no Celery, no SQL, no HTTP."""
