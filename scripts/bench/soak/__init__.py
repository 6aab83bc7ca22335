"""`python -m scripts.bench.soak --jobs N --kills N`: many short jobs, killed at random, and a check that none is lost.

caller.py    a client of the public API that remembers what it was told
chaos.py     kill -9, SIGSTOP and SIGCONT of the stack's processes
truth.py     the database and the bucket behind a stack
history.py   the invariants, checked over what callers saw and what is stored
harness.py   jobs and kills side by side
"""
