"""Sockets of live sessions go through Caddy, in both directions."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.deploy.caddy.test_caddy import SITE
from tests.deploy.composed import ROOT
from tests.deploy.conftest import Deployment

CLIENT = """
import sys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
with connect(sys.argv[1], proxy=None, open_timeout=120) as socket:
    socket.send('{"type": "start", "key": "not-a-key"}')
    print(socket.recv())
    try:
        socket.recv()
    except ConnectionClosed:
        print(socket.close_code)
"""


def test_a_socket_goes_through_caddy(deployment: Deployment) -> None:
    """What the client sends arrives, what the gateway answers comes back, and so does the code of its close."""
    address = SITE.replace("http", "ws", 1) + "/ws/stream"
    process = subprocess.run(
        (*deployment.machine.prefix(ROOT), sys.executable, "-c", CLIENT, address),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    error, code = process.stdout.splitlines()
    assert (json.loads(error)["code"], code) == ("unauthorized", "4401")
