"""Which media the decoder touches: containers and codecs by FFmpeg's names, and what is refused at sight."""

from __future__ import annotations

RECORDINGS = (
    ("MPEG audio", ("mp3",), (".mp3", ".mp2", ".mpga", ".m2a")),
    ("AAC: ADTS, LATM/LOAS", ("aac", "loas"), (".aac", ".adts", ".latm", ".loas")),
    (
        "MP4, QuickTime, 3GPP",
        ("mov", "mp4", "m4a", "3gp", "3g2"),
        (".mp4", ".m4a", ".m4b", ".m4r", ".m4v", ".mov", ".qt", ".qta", ".3gp", ".3gpp", ".3ga", ".3g2", ".3gpp2",
         ".f4a", ".f4v"),
    ),
    ("WAV, RF64, Wave64", ("wav", "w64"), (".wav", ".wave", ".rf64", ".bwf", ".w64")),
    ("Ogg", ("ogg",), (".ogg", ".oga", ".ogv", ".ogx", ".opus", ".spx")),
    ("FLAC", ("flac",), (".flac",)),
    ("Matroska, WebM", ("matroska", "webm"), (".mkv", ".mka", ".webm", ".weba")),
    ("Windows Media", ("asf", "wtv", "xwma"), (".wma", ".wmv", ".asf", ".dvr-ms", ".wtv", ".xwma")),
    ("AVI", ("avi",), (".avi", ".divx")),
    ("Flash Video", ("flv",), (".flv",)),
    (
        "MPEG-PS, MPEG-TS",
        ("mpeg", "mpegts", "mpegvideo"),
        (".mpg", ".mpeg", ".m2p", ".vob", ".ts", ".mts", ".m2ts", ".m2t"),
    ),
    ("MXF, GXF, DV", ("mxf", "gxf", "dv"), (".mxf", ".gxf", ".dv")),
    ("NUT", ("nut",), (".nut",)),
    ("AIFF, AIFF-C", ("aiff",), (".aif", ".aiff", ".aifc")),
    ("Core Audio", ("caf",), (".caf",)),
    ("Sun and NeXT audio", ("au",), (".au", ".snd")),
    ("AMR, AMR-WB", ("amr", "amrnb", "amrwb"), (".amr", ".awb")),
    ("GSM 06.10", ("gsm",), (".gsm",)),
    ("NIST SPHERE", ("nistsphere",), (".sph", ".nist")),
    ("Creative Voice", ("voc",), (".voc",)),
    ("IRCAM, SoX, PVF, AVR", ("ircam", "sox", "pvf", "avr"), (".sf", ".ircam", ".sox", ".pvf", ".avr")),
    ("Dolby: AC-3, E-AC-3, TrueHD, MLP", ("ac3", "eac3", "truehd", "mlp"), (".ac3", ".eac3", ".ec3", ".thd", ".mlp")),
    ("DTS, DTS-HD", ("dts", "dtshd"), (".dts", ".dtshd")),
    ("RealMedia", ("rm", "ivr"), (".ra", ".rm", ".rmvb", ".ivr")),
    ("QCP", ("qcp",), (".qcp",)),
    ("DSS dictation", ("dss",), (".dss",)),
    ("iLBC", ("ilbc",), (".lbc",)),
    ("Sony OpenMG", ("oma",), (".oma", ".aa3")),
    ("DSD: DSF, DSDIFF, 8SVX", ("dsf", "iff"), (".dsf", ".dff", ".8svx")),
    (
        "WavPack, Monkey's Audio, TTA, Musepack, TAK, Shorten",
        ("wv", "ape", "tta", "mpc", "mpc8", "tak", "shn"),
        (".wv", ".ape", ".tta", ".mpc", ".tak", ".shn"),
    ),
)  # fmt: skip
"""What is taken: a name for people, FFmpeg's names of the demuxers, and the usual endings of files. The content
decides, not the ending. docs/formats.md and cli/recordings.py, which searches folders, list the same; tests compare."""

CONTAINERS = tuple(name for _, demuxers, _ in RECORDINGS for name in demuxers)
"""FFmpeg's names of the demuxers that may run. None of them opens a second file; hls, concat, dash and sdp do."""

CODECS = (
    "8svx_exp", "8svx_fib", "aac", "aac_latm", "ac3", "acelp.kelvin", "adpcm_ct", "adpcm_ima_dk3", "adpcm_ima_dk4",
    "adpcm_ima_oki", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_sbpro_2", "adpcm_sbpro_3", "adpcm_sbpro_4",
    "adpcm_swf", "adpcm_yamaha", "alac", "als", "amrnb", "amrwb", "ape", "atrac3", "atrac3al", "atrac3plus",
    "atrac3plusal", "cook", "dca", "dsd_lsbf", "dsd_lsbf_planar", "dsd_msbf", "dsd_msbf_planar", "dss_sp", "dst",
    "dvaudio", "eac3", "evrc", "flac", "ftr", "g722", "g723_1", "g726", "g726le", "g729", "gsm", "gsm_ms", "ilbc",
    "imc", "libopencore_amrnb", "libopencore_amrwb", "libopus", "mace3", "mace6", "metasound", "mlp", "mp1", "mp1float",
    "mp2", "mp2float", "mp3", "mp3adu", "mp3adufloat", "mp3float", "mp3on4", "mp3on4float", "mpc7", "mpc8", "msnsiren",
    "nellymoser", "on2avc", "opus", "pcm_alaw", "pcm_bluray", "pcm_dvd", "pcm_f16le", "pcm_f24le", "pcm_f32be",
    "pcm_f32le", "pcm_f64be", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16be_planar", "pcm_s16le",
    "pcm_s16le_planar", "pcm_s24be", "pcm_s24le", "pcm_s24le_planar", "pcm_s32be", "pcm_s32le", "pcm_s32le_planar",
    "pcm_s64be", "pcm_s64le", "pcm_s8", "pcm_s8_planar", "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le",
    "pcm_u32be", "pcm_u32le", "pcm_u8", "qcelp", "qdm2", "qdmc", "ralf", "real_144", "real_288", "s302m", "shorten",
    "sipr", "siren", "speex", "tak", "truehd", "truespeech", "tta", "vorbis", "wavpack", "wmalossless", "wmapro",
    "wmav1", "wmav2", "wmavoice",
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

UNDECODABLE = (
    (rb"\x03ds2", "DS2 (DSS Pro) dictation"),
    (rb".{4}ftypaax[ c]", "protected audio book"),
    (rb"NIST_1A.*sample_coding -s\d+ (?!pcm,embedded-shorten)\w+,embedded-", "SPHERE file with this compression"),
)
"""How recordings begin for which FFmpeg has no decoder, and what they are called; whoever sends one is told."""
