"""Every environment variable that Parley reads. Nothing else in api/, tasks/ or shared/ looks at the environment."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

WHISPER_MODELS = (
    "tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en",
    "large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo",
    "distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3", "distil-large-v3.5",
)  # fmt: skip
"""Whisper models that may be asked for, by the names faster-whisper gives them."""

URL_EXTRACTORS = (
    "generic", "html5", "youtube", "tiktok", "vm.tiktok", "vimeo", "soundcloud", "dailymotion", "twitch:vod",
    "twitch:clips", "twitter", "twitter:spaces", "facebook", "facebook:reel", "instagram", "tedtalk", "archive.org",
    "mixcloud", "bandcamp", "apple:podcasts", "spreaker", "podbayfm", "rumble", "rumbleembed", "peertube",
)  # fmt: skip
"""yt-dlp extractors that are offered unless URL_EXTRACTORS says otherwise: large public sites, and plain web pages."""


class Settings(BaseSettings):
    """One instance per process, read once by `settings()`. Durations end in `_s`, sizes in `_bytes`."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    # servers
    database_url: SecretStr = Field(description="PostgreSQL, as postgresql+psycopg://user:password@host:port/name")
    database_direct_url: SecretStr | None = Field(
        None,
        description="Where DATABASE_URL leads through a pooler such as PgBouncer: the address of PostgreSQL itself, "
        "for migrations and for whoever listens",
    )
    redis_url: SecretStr = Field(description="Redis or Valkey, the Celery broker, as redis://:password@host:port/0")
    object_store: str = Field(
        "s3",
        pattern=r"^(s3|/.+)$",
        description="s3, or a folder (from / on) for recordings and transcripts that gateway and workers share on one "
        "machine, as `make run` has it",
    )
    s3_endpoint_url: str | None = Field(None, description="S3 server; empty means AWS")
    s3_public_endpoint_url: str | None = Field(None, description="The S3 address that clients see, for presigned URLs")
    s3_bucket: str = Field("parley", description="Bucket for uploads, intermediate audio and transcripts")
    s3_region: str = Field("us-east-1", description="Region of the bucket")
    aws_access_key_id: SecretStr | None = Field(None, description="S3 credentials; empty means the instance's own role")
    aws_secret_access_key: SecretStr | None = Field(None, description="S3 credentials")

    # gateway
    api_key: SecretStr | None = Field(
        None, description="First API key (all scopes); another value here makes the one before invalid"
    )
    cors_origins: str = Field(
        "",
        pattern=r"^(\*|(\s*https?://[^\s/,*?#]+\s*(,|$))*)$",
        description="Web pages that may call the API, as https://app.example or * for all, by commas; empty = none but "
        "its own",
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path that a proxy removes, such as /parley: links in answers and the cookies of sessions have it",
    )
    api_processes: int = Field(
        1, ge=1, le=64, description="Processes of one gateway; they share its port, its metrics and its limits"
    )
    max_upload_bytes: int = Field(
        5 * 1024**3, gt=0, le=10_000 * 5 * 1024**2, description="Largest upload accepted in one request, in bytes"
    )
    max_resumable_bytes: int = Field(
        50 * 1024**3, gt=0, le=10_000 * 5 * 1024**3, description="Largest recording accepted in parts, in bytes"
    )
    upload_ttl_s: float = Field(
        24 * 3600, ge=60, le=365 * 86400, description="Time after which an upload in parts is removed"
    )
    upload_memory_bytes: int = Field(
        400 * 1024**2, ge=32 * 1024**2, description="Memory for recordings on their way in, per gateway"
    )
    upload_patience_s: float = Field(
        30, gt=0, description="A body that comes more slowly than 1 kB/s for so long is ended with 408"
    )
    max_transfers: int = Field(
        64,
        ge=0,
        description="Recordings and parts that one key may send to one gateway at once; 0 = any number",
    )
    max_batch_items: int = Field(1000, gt=0, le=10_000, description="Most recordings that one batch may have")
    max_wait_s: float = Field(300, ge=0, description="Longest time that `wait=` holds a request open")
    contract_wait_s: float = Field(
        3600, gt=0, description="Longest time that a call of another API that answers with the transcript is held open"
    )
    contract_headers_s: float = Field(
        50,
        gt=0,
        le=60,
        description="OpenAI's API and /asr send the headers of an answer after so long, then white space every 10 s "
        "until it is there; shorter than proxies and clients wait",
    )
    openai_models: str = Field(
        "whisper-1=auto,gpt-transcribe=auto,gpt-4o-transcribe=auto,gpt-4o-mini-transcribe=auto,"
        "gpt-4o-mini-transcribe-2025-12-15=auto,gpt-4o-transcribe-diarize=auto",
        description="OpenAI's names of models and ours that answer to them; auto is the default model",
    )

    job_ttl_seconds: int = Field(
        0, ge=0, le=2**31 - 1, description="A finished task is erased after so many seconds; 0 = kept for ever"
    )

    # live sessions
    live_slots: int = Field(
        8, ge=1, le=64, description="Most sessions of one live worker; fewer are let in where its speed carries fewer"
    )
    live_load: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Share of the time for which a live model may be busy before sessions are refused; 0 = any",
    )
    live_model: str = Field("", description="Model of live text; empty = that of the task's transcript")
    live_final_model: str = Field(
        "", description="Larger model for the finals of live text; empty = that of LIVE_MODEL recognises them too"
    )
    max_live_sessions: int = Field(2, ge=0, description="Live sessions of one key at once; 0 = any number")
    live_longest_s: float = Field(4 * 3600, gt=0, le=8 * 3600, description="Longest live session")
    live_idle_s: float = Field(300, gt=0, description="A live session without audio for so long is ended")
    live_resume_s: float = Field(
        60, gt=0, description="A live session whose client does not come back for so long is ended and transcribed"
    )
    live_lease_s: float = Field(5, gt=0, description="A live worker that is silent this long loses its sessions")
    live_heartbeat_s: float = Field(1, gt=0, description="Interval at which a live worker renews its leases")
    live_stall_s: float = Field(
        15, gt=0, description="A live worker whose model gives no answer for so long hands its sessions over and ends"
    )

    # recordings by URL
    allow_url_adapter: bool = Field(True, description="Take recordings by URL; off also stops those that wait")
    allow_tiktok_adapter: bool = Field(True, description="Take TikTok URLs")
    allow_upload_adapter: bool = Field(True, description="Take uploaded files")
    url_extractors: str = Field(
        ",".join(URL_EXTRACTORS), description="yt-dlp extractors that may be used (yt-dlp --list-extractors), or all"
    )
    ytdlp_cookies_file: Path | None = Field(None, description="Cookies for yt-dlp, in Netscape's format")
    s3_source_buckets: str = Field("", description="Buckets that s3:// URLs may name, read with the credentials above")
    download_timeout_s: float = Field(3600, gt=0, description="Time that fetching one recording may take")
    download_idle_timeout_s: float = Field(30, gt=0, description="Silence after which a server is given up")
    max_live_recording_s: float = Field(
        3600, gt=0, description="Highest max_duration: how many seconds of a live stream one task may record"
    )
    egress_ports: str = Field("80,443", description="Ports that outbound URLs may name")
    egress_allow_hosts: str = Field(
        "", description="Hosts (or host:port) that may have private addresses: media servers of your own, and tests"
    )
    egress_nameserver: str | None = Field(
        None, description="DNS server (address or address:port) for outbound URLs; empty means the system's"
    )

    # recordings
    max_duration: float = Field(8 * 3600, gt=0, le=36 * 3600, description="Longest recording accepted, in seconds")
    audio_ttl_s: float = Field(
        86_400, ge=0, description="Audio that no unfinished task has used for so long is removed; 0 = kept for ever"
    )
    decode_timeout_s: float = Field(1800, gt=0, description="Wall time the decoder may take for one file")
    decode_memory_bytes: int = Field(1024**3, gt=0, description="Address space the decoder may take")
    scratch_dir: Path = Field(
        Path(tempfile.gettempdir()) / "parley", description="Folder for the temporary files of running stages"
    )

    # models
    model_dir: Path = Field(Path("models"), description="Local weights: whisper/NAME/ and diarization/")
    hf_token: SecretStr | None = Field(None, description="Hugging Face token for gated models")
    hub_timeout_s: float = Field(5, gt=0, description="Wait this long for the Hub before using the mirror")
    whisper_model: str = Field(
        "auto",
        description="Default model; auto = base on CPU, large-v3-turbo on CUDA (docker compose: base, and no auto)",
    )
    whisper_models: str = Field(
        ",".join(WHISPER_MODELS),
        description="Available models (docker compose: the default and these; it fetches them all)",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the models run")
    diarization_device: str = Field(
        "",
        pattern=r"^(cpu|cuda(:\d+)?)?$",
        description="Where diarization runs: cpu, cuda or cuda:1; empty = as DEVICE",
    )
    cuda_visible_devices: str = Field(
        "", description="Cards of this worker, as nvidia-smi numbers them or by UUID; its processes share them out"
    )
    preload_models: bool = Field(True, description="Load the default models before work is taken, not at first use")
    model_idle_s: float = Field(
        0, ge=0, description="A worker process without work this long lets go of its models; 0 = never"
    )
    compute_type: str = Field("auto", description="CTranslate2 type; auto = int8 on CPU, float16 on CUDA")
    cpu_threads: int = Field(0, ge=0, description="Threads per model process; 0 = all cores")
    asr_batch_size: int = Field(8, gt=0, description="Pieces of 30 s decoded together")
    shard_target_s: float = Field(
        600, ge=0, description="Longer recordings are recognised in parts of about this length, side by side; 0 = never"
    )
    diarization_clustering: Literal["windows", "pyannote"] = Field(
        "windows",
        description="How voices are told apart: windows = by 2 s of speech each; pyannote = as its config.yaml says",
    )
    engine: Literal["models", "sleeper"] = Field(
        "models", description="sleeper replaces the models by a pause; for load and fault tests only"
    )
    sleeper_seconds: float = Field(0.2, ge=0, description="How long the sleeper pauses per stage")

    # the kernel
    lease_s: float = Field(30, gt=0, description="A stage whose worker is silent this long is given to another")
    heartbeat_s: float = Field(2, gt=0, description="Interval at which a worker renews its lease and reads cancel")
    grace_s: float = Field(1.5, gt=0, description="Time the work gets to stop by itself before its process is killed")
    max_attempts: int = Field(3, gt=0, description="Attempts per stage before it is dead")
    stall_timeout_s: float = Field(900, gt=0, description="A stage without progress this long is stopped")
    sweep_interval_s: float = Field(5, gt=0, description="Interval at which beat rings for the sweep")
    ring_again_s: float = Field(10, gt=0, description="A queued stage nobody claimed is rung again after this long")
    deaf_timeout_s: float = Field(
        60, gt=0, description="A worker that hangs, or takes nothing while rings wait, is ended after this long"
    )
    pulse_file: Path | None = Field(
        None,
        description="File that a worker touches every second while it is well, for the health checks of containers",
    )

    # fairness, and limits of every API key that has none of its own; 0 = none
    ring_window: int = Field(
        0, ge=0, description="Doorbells per key, queue and priority that may wait in Redis; 0 = two per worker slot"
    )
    requests_per_minute: int = Field(0, ge=0, description="Requests per key and minute; 0 = any number")
    limits_timeout_s: float = Field(
        0.25, gt=0, description="Time that Redis has to count a request; if it takes longer, none is refused for 5 s"
    )
    max_running: int = Field(0, ge=0, description="Model stages that one key runs at once; 0 = any number")
    max_queued: int = Field(0, ge=0, description="Tasks of one key that may wait for a worker; 0 = any number")
    minutes_per_day: int = Field(0, ge=0, description="Minutes of audio per key and day (UTC); 0 = any number")
    max_open_uploads: int = Field(100, ge=0, description="Uploads in parts of one key that are open; 0 = any number")
    max_announced_bytes: int = Field(
        500 * 1024**3, ge=0, description="Bytes that the open uploads of one key announce; 0 = any number"
    )
    max_stored_bytes: int = Field(
        1024**4, ge=0, description="Bytes that one key has in storage, with those announced; 0 = any number"
    )
    max_waiting_deliveries: int = Field(
        10_000, ge=0, description="Webhooks of one key that wait to be sent, with those of its tasks; 0 = any number"
    )
    webhook_tests_per_minute: int = Field(
        10, ge=0, description="Webhooks that one key may have tested or sent again per minute; 0 = any number"
    )
    max_queued_tasks: int = Field(100_000, gt=0, description="Tasks of all keys that may wait; more are refused")

    # metrics
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of a worker's /metrics; 0 = none")
    metrics_host: str = Field("127.0.0.1", description="Address that a worker's /metrics listens on")
    metrics_token_file: Path | None = Field(
        None,
        description="File with the bearer token that /metrics asks for. Without it, it answers other machines, and on "
        "its own the user as whom it runs",
    )
    prometheus_multiproc_dir: Path | None = Field(
        None, description="Folder through which the processes of one worker share their counters; one per worker"
    )

    # webhooks
    webhook_timeout_s: float = Field(10, gt=0, description="Time that a receiver of webhooks has for its answer")
    webhook_retry_s: float = Field(
        5, gt=0, description="Wait after a webhook's first failure; the later waits, up to 24 h, keep their proportion"
    )

    # traces
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Collector of traces, by OTLP over HTTP, as http://collector:4318; empty = no traces"
    )

    # logs
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["json", "text"] = Field("json", description="json for machines, text for a terminal")

    @property
    def openai_aliases(self) -> dict[str, str]:
        """`openai_models` as a dict from OpenAI's names to ours."""
        pairs = (pair.partition("=") for pair in self.openai_models.split(",") if pair.strip())
        return {name.strip(): model.strip() or "auto" for name, _, model in pairs}

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """`cors_origins` as a tuple, written as browsers do."""
        return tuple(origin.strip().lower() for origin in self.cors_origins.split(",") if origin.strip())

    @property
    def allowed_models(self) -> tuple[str, ...]:
        """`whisper_models` as a tuple of names, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.whisper_models.split(",") if name.strip()))


@cache
def settings() -> Settings:
    """This process's settings. Ends the process, naming the variables, when some are missing or wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"  {_variable(one)}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)]
        text = "\n".join(("These settings are missing or wrong (.env.example describes all):", *wrong))
    raise SystemExit(text)


def link(path: str) -> str:
    """The path of a call as clients see it."""
    return settings().root_path + path


def _variable(error: ErrorDetails) -> str:
    return str(error["loc"][0]).upper()
