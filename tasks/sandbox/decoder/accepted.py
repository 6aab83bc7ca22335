"""Which media the decoder touches: containers and codecs by FFmpeg's names, and what is refused at sight."""

from __future__ import annotations

CONTAINERS = (
    "mp3", "mov", "mp4", "m4a", "3gp", "3g2", "aac", "wav", "w64", "ogg", "flac", "asf", "matroska", "webm", "avi",
    "flv", "mpeg", "mpegts", "mpegvideo", "aiff", "amr", "amrnb", "amrwb", "caf", "ac3", "eac3", "au", "wv", "ape",
    "tta",
)  # fmt: skip
"""FFmpeg's names of the demuxers that may run. None of them opens a second file; hls, concat, dash and sdp do."""

CODECS = (
    "aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha", "alac", "amrnb",
    "amrwb", "ape", "dca", "eac3", "flac", "g722", "g726", "g726le", "g723_1", "g729", "gsm", "gsm_ms",
    "libopencore_amrnb", "libopencore_amrwb", "libopus", "mlp", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float",
    "nellymoser", "opus", "pcm_alaw", "pcm_bluray", "pcm_dvd", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le",
    "pcm_mulaw", "pcm_s16be", "pcm_s16be_planar", "pcm_s16le", "pcm_s16le_planar", "pcm_s24be", "pcm_s24le",
    "pcm_s32be", "pcm_s32le", "pcm_s8",
    "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le", "pcm_u8", "qcelp", "qdm2", "qdmc",
    "speex", "truehd", "tta", "vorbis", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
)  # fmt: skip
"""FFmpeg's names of the decoders that may run: sound only, so that no picture of a video is ever parsed."""

NOT_MEDIA = (
    (0, b"#EXTM3U", "playlist"), (0, b"\xef\xbb\xbf#EXTM3U", "playlist"), (0, b"ffconcat version", "playlist"),
    (0, b"[playlist]", "playlist"), (0, b"<?xml", "XML document"), (0, b"<MPD", "playlist"), (0, b"<smil", "playlist"),
    (0, b"PK\x03\x04", "ZIP archive"), (0, b"PK\x05\x06", "ZIP archive"), (0, b"Rar!\x1a\x07", "RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"), (0, b"\x1f\x8b", "gzip archive"), (0, b"BZh", "bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "xz archive"), (257, b"ustar", "tar archive"), (0, b"%PDF-", "PDF document"),
)  # fmt: skip
"""Offset, bytes and name of what people send by mistake; told apart here so that no demuxer sees it."""
