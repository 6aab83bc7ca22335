"""The sandboxed child that turns any media into 16 kHz PCM.

FFmpeg's parsers are C and the bytes are a stranger's. tasks/stages/convert.py keeps `__main__.py` running, a program
that has FFmpeg loaded and reads no recording itself: it forks a child for each (fork_server.py). The child gets two
open files and no names, lowers its own limits, gives up every right that it can do without, and only then looks at the
first byte. It answers on stdout with JSON lines: `{"progress": 0.4}` now and then, at last either `{"decoded": {...}}`
or `{"error": {"code", "message"}}`.

It imports nothing of Parley beside this folder, so that no setting and no secret is ever in its memory.
docs/decisions/decoder.md says why it is built like this.
"""
