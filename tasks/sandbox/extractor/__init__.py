"""The sandboxed child in which yt-dlp runs.

tasks/fetch/page.py runs `__main__.py` as a program of its own, `python -I __main__.py JOB`, in an empty folder and with
an empty environment, because yt-dlp is a hundred thousand lines that read hostile pages. The child locks itself in
(confinement.py): it can connect to the egress proxy and to nothing else, write into its folder and nowhere else, and
start no program. It answers on stdout with JSON lines: `{"progress": 0.4}` now and then, at last either
`{"extraction": {"file", "title"}}` or `{"error": {"code", "message"}}`.

It imports nothing of Parley beside this folder and the decoder's sandbox, so that no setting and no secret is ever in
its memory. docs/decisions/egress.md says why it is built like this.
"""
