"""The migrations: what they keep, what they may change, and what older and newer releases make of the tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import func, make_url, select, text

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.db.tables import alembic_config, is_migrated
from shared.kernel import fleet
from shared.ledger import counts, folding
from shared.models import ApiKey, Artifact, Erasure, Job, Stage, Worker
from tests.service.kernel.truth import assert_exact

ROOT = Path(__file__).parents[3]
REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]
OWNER, JOB, ARTIFACT, ERASED = (uuid.UUID(int=number) for number in range(1, 5))

FIRST_ROWS = f"""
INSERT INTO api_keys (id, name, prefix, digest, scopes) VALUES ('{OWNER}', 'n', 'pk', 'd', '{{transcribe}}');
INSERT INTO workers (name, queues) VALUES ('asr@one', '{{asr}}');
INSERT INTO erasures (job_id, owner_id, prefix, keys) VALUES ('{ERASED}', '{OWNER}', 'p/', '{{p/upload}}');
INSERT INTO artifacts (id, owner_id, stage, hash, key, bytes, meta)
    VALUES ('{ARTIFACT}', '{OWNER}', 'transcribe', 'h', 'k', 7, '{{"language": "en"}}');
INSERT INTO jobs (id, owner_id, state, priority, filename, source_sha256, source_bytes, options, full_text)
    VALUES ('{JOB}', '{OWNER}', 'done', 5, 'call.wav', 's', 9, '{{"diarization": true}}', 'a word that stays');
INSERT INTO stages (job_id, name, state, queue, hash, attempt, artifact_id)
    VALUES ('{JOB}', 'transcribe', 'done', 'asr', 'h', 1, '{ARTIFACT}');
"""

OF_0009 = """
WITH tasks AS (
    INSERT INTO jobs (id, owner_id, state, priority, options)
    SELECT gen_random_uuid(), :owner, 'queued', 1, '{}' FROM generate_series(1, :rows) RETURNING id
)
INSERT INTO stages (job_id, name, owner_id, priority, state, queue, hash)
SELECT id, 'convert', :owner, 1, 'queued', 'cpu', '' FROM tasks
"""


@dataclass(frozen=True)
class Column:
    kind: str
    is_nullable: bool
    has_default: bool

    @property
    def may_be_left_out(self) -> bool:
        """Whether a release that does not know it can insert a row."""
        return self.is_nullable or self.has_default


def columns() -> dict[str, Column]:
    """Every column of ours, as `table.column`."""
    query = text(
        "SELECT table_name || '.' || column_name, data_type, is_nullable = 'YES',"
        " column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS'"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
    )
    with session() as opened:
        return {name: Column(kind, null, default) for name, kind, null, default in opened.execute(query)}


def breaks(before: Mapping[str, Column], after: Mapping[str, Column]) -> set[str]:
    """Columns by which what ran on the tables before does not run on them now: they are gone or of another type, or
    have to be given where they had not to be."""
    tables = {name.partition(".")[0] for name in before}
    changed = {name for name, column in before.items() if name not in after or after[name].kind != column.kind}
    requirements = {
        name
        for name, column in after.items()
        if name.partition(".")[0] in tables and not column.may_be_left_out
        if name not in before or before[name].may_be_left_out
    }
    return changed | requirements


def contractions(revision: str) -> set[str]:
    """Columns that docs/upgrade.md says this revision takes away, in the line that begins with its number."""
    lines = re.findall(rf"^- {revision} .*$", (ROOT / "docs" / "upgrade.md").read_text(), re.M)
    return set(re.findall(r"`(\w+\.\w+)`", "".join(lines)))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "shared.db", *arguments)
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_rows_of_the_first_tables_are_there_after_every_step(empty: str) -> None:
    """From 0001 to the newest one by one: a key's finished job is found as it was. No step takes from the release
    before what it uses, unless docs/upgrade.md names it; 0002, before there was a release, did, so it would be seen."""
    steps: dict[str, set[str]] = {}
    before: dict[str, Column] = {}
    for revision in REVISIONS:
        assert not is_migrated()
        command.upgrade(alembic_config(), revision)
        if revision == REVISIONS[0]:
            with session() as opened:
                opened.execute(text(FIRST_ROWS.replace(":", "\\:")))
        after = columns()
        steps[revision], before = breaks(before, after), after
    assert is_migrated()

    assert steps.pop("0002") == {"stages.owner_id", "stages.priority"}
    assert {revision: names - contractions(revision) for revision, names in steps.items() if names} == {}
    with session() as opened:
        job, stage = opened.get_one(Job, JOB), opened.get_one(Stage, (JOB, "transcribe", 0))
        assert (job.state, job.filename, job.source_bytes, job.options["diarization"]) == ("done", "call.wav", 9, True)
        assert (stage.state, stage.owner_id, stage.priority, stage.artifact_id) == ("done", OWNER, 5, ARTIFACT)
        assert opened.get_one(ApiKey, OWNER).scopes == ["transcribe"]
        assert opened.get_one(Artifact, ARTIFACT).meta == {"language": "en"}
        assert opened.get_one(Erasure, ERASED).keys == ["p/upload"]
        assert opened.get_one(Worker, "asr@one").queues == ["asr"]
        word = Job.search.op("@@")(func.to_tsquery("simple", "stays"))
        assert opened.scalars(select(Job.id).where(word)).all() == [JOB]


def test_the_newest_tables_are_those_of_the_code(servers: Stack, environment: Settings) -> None:
    """Alembic finds nothing that a further migration would have to do."""
    process = run("check")
    assert process.returncode == 0, process.stderr


def test_whoever_waits_for_the_tables_goes_on_when_they_are_there(empty: str) -> None:
    """`wait` says what it waits for, and does not end before `upgrade` has."""
    argv = (sys.executable, "-m", "shared.db", "wait")
    waiting = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert waiting.stdout is not None
        assert waiting.stdout.readline().startswith(b"waiting for the job migrate")
        assert run("check").returncode != 0
        assert waiting.poll() is None
        assert run("upgrade").returncode == 0
        assert waiting.wait(60) == 0
    finally:
        waiting.kill()
        waiting.communicate()


def test_whoever_waits_for_postgresql_says_so(empty: str) -> None:
    """`reach` ends at once where PostgreSQL answers; where nothing does, it waits and repeats what it was told."""
    assert run("reach").returncode == 0
    argv = (sys.executable, "-m", "shared.db", "reach")
    nowhere = os.environ | {"DATABASE_URL": "postgresql+psycopg://parley:none@127.0.0.1:1/parley"}
    waiting = subprocess.Popen(argv, cwd=ROOT, env=nowhere, stdout=subprocess.PIPE)
    try:
        assert waiting.stdout is not None
        assert re.match(rb"waiting for PostgreSQL: .*refused", waiting.stdout.readline())
        assert waiting.poll() is None
    finally:
        waiting.kill()
        waiting.communicate()


def test_an_older_release_starts_on_newer_tables(empty: str) -> None:
    """Its `upgrade` and `wait` leave them as they are, so that going back is a start of the old images."""
    assert run("upgrade").returncode == 0
    with session() as opened:
        opened.execute(text("UPDATE alembic_version SET version_num = 'of a newer release'"))
    before = columns()
    for action in ("upgrade", "wait"):
        process = run(action)
        assert process.returncode == 0, process.stderr
    assert columns() == before


def test_0006_marks_the_environments_keys_and_keeps_nothing_of_any(empty: str) -> None:
    """Valid first keys are marked, revoked ones and those of applications are not; lists have another sign of each."""
    command.upgrade(alembic_config(), "0005")
    keys = {
        "a": ("first key", "{transcribe,admin}", "NULL"),
        "b": ("first key", "{transcribe,admin}", "now()"),
        "c": ("first key", "{transcribe}", "NULL"),
        "d": ("laptop", "{transcribe,admin}", "NULL"),
    }
    with session() as opened:
        for digest, (name, scopes, revoked) in keys.items():
            opened.execute(
                text(
                    "INSERT INTO api_keys (id, name, prefix, digest, scopes, revoked_at) VALUES"
                    f" (gen_random_uuid(), '{name}', 'pk_apieceofit', repeat('{digest}', 64), '{scopes}', {revoked})"
                )
            )
    command.upgrade(alembic_config(), "0006")
    with session() as opened:
        rows = opened.execute(text("SELECT left(digest, 1), prefix, from_environment FROM api_keys ORDER BY 1")).all()
    assert [tuple(row) for row in rows] == [(one, "sha256:" + one * 12, one == "a") for one in "abcd"]


def test_workers_of_the_release_before_0008_go_on(empty: str) -> None:
    """Its sign of life, word by word, makes a row and renews it; what models it has is unknown, not none."""
    assert run("upgrade").returncode == 0
    before = text(
        "INSERT INTO workers (name, queues, slots, deaf) VALUES ('asr@old', '{asr}', 1, false)"
        " ON CONFLICT (name) DO UPDATE SET queues = '{asr}', slots = 1, deaf = false, seen_at = clock_timestamp()"
    )
    for _ in range(2):
        with session() as opened:
            opened.execute(before)
            assert fleet.stock(opened).has_installed("base") is None
    with session() as opened:
        fleet.show(opened, "asr@new", ["asr"], 1, deaf=False, stock=fleet.Stock(["base"], []))
        stock = fleet.stock(opened)
        assert (stock.has_installed("base"), stock.has_installed("tiny"), stock.has_loaded("base")) == (
            True,
            None,
            None,
        )


def test_0010_counts_what_is_there_while_the_release_before_writes(empty: str) -> None:
    """Rows from before, those that come and go during the upgrade and after it: all are counted once.

    An upgrade that broke off behind any of its steps is repeated.
    """
    command.upgrade(alembic_config(), "0009")
    with session() as opened:
        key = f"INSERT INTO api_keys (id, name, prefix, digest, scopes) VALUES ('{OWNER}', 'n', 'p', 'd', '{{}}')"
        opened.execute(text(key))
        opened.execute(text(OF_0009), {"owner": OWNER, "rows": 20_000})
    ended = threading.Event()

    def write() -> None:
        plain = make_url(empty).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            while not ended.is_set():
                with connection.transaction():
                    connection.execute("UPDATE jobs SET state = 'processing' WHERE id IN (SELECT id FROM jobs LIMIT 5)")
                    connection.execute(
                        "UPDATE stages SET state = 'running' WHERE job_id IN (SELECT id FROM jobs LIMIT 5)"
                    )
                with connection.transaction():
                    connection.execute("DELETE FROM stages WHERE job_id IN (SELECT id FROM jobs OFFSET 5 LIMIT 2)")
                    connection.execute("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs OFFSET 5 LIMIT 2)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        command.upgrade(alembic_config(), "0010")
        with session() as opened:
            opened.execute(text("UPDATE alembic_version SET version_num = '0009'"))  # as if it had ended before that
        command.upgrade(alembic_config(), "head")
        assert writer.is_alive()
    finally:
        ended.set()
        writer.join(30)
    with session() as opened:
        assert counts.waiting(opened) > 100
        assert_exact(opened)
    folding.sweep()
    with session() as opened:
        assert_exact(opened)
        assert {valid for (valid,) in opened.execute(text("SELECT indisvalid FROM pg_index"))} == {True}


def test_two_who_migrate_at_once_do_it_once(empty: str) -> None:
    """The second waits until the first is done, without holding up its indexes."""
    argv = (sys.executable, "-m", "shared.db", "upgrade")
    both = [subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [one.communicate(timeout=120)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], errors
    assert is_migrated()
