"""The sandboxed child that decodes a container while it arrives: bytes by one pipe, 16 kHz PCM by another.

A program like tasks/sandbox/decoder, under the same locks, whose child lives as long as somebody listens to a session.
decoding.py is its own side, decoder.py that of its parent, wire.py what it says. docs/decisions/live.md says how it is
bounded. It imports nothing of Parley but the two packages and the locks.
"""
