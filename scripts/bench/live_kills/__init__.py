"""Live sessions while live workers and gateways are killed: `python -m scripts.bench.live_kills`, or `make soak-live`.

Some clients speak all the time, each as docs/live.md describes one. Meanwhile a live worker that holds a session, or a
gateway, dies by `kill -9` and is started again, and with each kill the line of some client is cut. Afterwards each
session must have had the finals of a session that nobody disturbed, each once, and its recording every byte that was
sent.
"""
