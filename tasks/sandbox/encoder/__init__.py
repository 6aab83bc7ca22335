"""Encoding what the decoder has decoded: the copy of a recording that people listen to, and its waveform.

It runs in the decoder's process (tasks/sandbox/decoder/__main__.py), which has FFmpeg loaded and locks itself in.
"""
