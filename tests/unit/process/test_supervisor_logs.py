"""Logs of a local stack do not fill the disk."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from scripts.local.supervisor import LOG_BYTES, Command, Supervisor

PATIENCE_S = 60
FLOOD = "import sys\nwhile True: sys.stdout.write('a line of a log that nobody reads\\n' * 1000)"


def test_a_process_that_writes_much_keeps_two_logs(tmp_path: Path) -> None:
    """Its log begins anew at 10 MB while it runs, as often as it takes; what was in it last is beside it."""
    supervisor = Supervisor(tmp_path, tmp_path / "pids", print)
    slow_flood = FLOOD.replace("while True:", "import time\nwhile True: time.sleep(0.002);")
    supervisor.start(Command("flood", (sys.executable, "-c", slow_flood), {}, tmp_path))
    log, beside = supervisor.log("flood"), tmp_path / "flood.log.1"
    try:
        deadline, most, sizes = time.monotonic() + PATIENCE_S, 0, list[int]()
        while len(sizes) < 3:
            assert time.monotonic() < deadline, sizes
            if beside.exists() and beside.stat().st_mtime_ns not in sizes:
                sizes.append(beside.stat().st_mtime_ns)
            most = max(most, log.stat().st_size)
            time.sleep(0.1)
    finally:
        supervisor.close()
    assert most < 20 * LOG_BYTES
    assert beside.stat().st_size > LOG_BYTES
    assert log.read_bytes()[:6] != b"\0" * 6  # no hole where the process had been
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("flood")) == [log.name, beside.name]
