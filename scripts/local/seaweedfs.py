"""SeaweedFS, as its PyPI wheel brings it: how to prepare, start, ask and address it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import sysconfig
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions

from scripts.local.home import LOOPBACK, write_private
from scripts.local.supervisor import Command
from scripts.local.tls import make_pair

PROBE_TIMEOUT_S = 5
GRPC_SERVERS = ("master", "volume", "filer", "s3", "admin", "worker", "mq", "msg_broker", "msg_agent")
HTTPS_SERVERS = ("master", "volume", "filer", "admin")


@dataclass(frozen=True)
class SeaweedFS:
    """SeaweedFS as an S3 server with one bucket. It takes four ports besides its S3 port, and each + 10000.

    S3 asks for the access key. The others know no passwords, and everybody on the machine reaches loopback: they talk
    to nobody who has not the key of their certificate, which lies in `folder`.
    """

    folder: Path
    port: int
    master_port: int
    volume_port: int
    filer_port: int
    admin_port: int
    access_key: str
    secret_key: str
    bucket: str

    @property
    def env(self) -> dict[str, str]:
        endpoint = f"http://{LOOPBACK}:{self.port}"
        return {
            "S3_ENDPOINT_URL": endpoint,
            "S3_PUBLIC_ENDPOINT_URL": endpoint,
            "S3_BUCKET": self.bucket,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    @property
    def _ports(self) -> dict[str, int]:
        return {
            "s3": self.port,
            "master": self.master_port,
            "volume": self.volume_port,
            "filer": self.filer_port,
            "admin": self.admin_port,
        }

    @property
    def _pair(self) -> tuple[Path, Path]:
        """The certificate by which its parts know each other, and its key."""
        return self.folder / "certificate.pem", self.folder / "key.pem"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tidy()
        certificate, key = self._pair
        make_pair(certificate, key)
        identity, ca = f'cert = "{certificate}"\nkey = "{key}"\n', f'ca = "{certificate}"\n'
        sections = {
            "grpc": ca,
            "grpc.client": identity,
            **{f"grpc.{server}": identity for server in GRPC_SERVERS},
            "https.client": f"enabled = true\n{identity}{ca}",
            **{f"https.{server}": identity + ca for server in HTTPS_SERVERS},
        }
        text = "\n".join(f"[{name}]\n{settings}" for name, settings in sections.items())
        write_private(self.folder / "security.toml", text)  # read from the folder that it starts in

    def tidy(self) -> None:
        """Sockets whose place in /tmp is fixed in its source, named by service and port."""
        for port in self._ports.values():
            for number in (port, port + 10_000):
                for socket in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108
                    socket.unlink(missing_ok=True)

    def command(self) -> Command:
        return Command(
            name="seaweedfs",
            argv=(
                str(Path(sysconfig.get_path("scripts")) / "weed"),
                "mini",
                f"-dir={self.folder}",
                f"-ip={LOOPBACK}",
                f"-ip.bind={LOOPBACK}",
                *(f"-{name}.port={port}" for name, port in self._ports.items()),
                "-webdav=false",
                "-admin.ui=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
                f"-bucket={self.bucket}",
            ),
            env={**os.environ, "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key},
            cwd=self.folder,
            ready=self._answers,
        )

    def provision(self) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.env["S3_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 8}),
        )
        try:
            client.head_bucket(Bucket=self.bucket)
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):  # an answer lost, a retry too many
                client.create_bucket(Bucket=self.bucket)

    def _answers(self) -> bool:
        """Whether S3 answers and objects can be read: the master knows where they lie, which the volumes tell it up to
        seconds after S3 has begun to answer."""
        certificate, key = self._pair
        try:
            url = f"{self.env['S3_ENDPOINT_URL']}/healthz"
            with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S):  # noqa: S310 - a URL of our own
                pass
            context = ssl.create_default_context(cafile=certificate)
            context.load_cert_chain(certificate, key)
            url = f"https://{LOOPBACK}:{self.master_port}/dir/status"
            with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S, context=context) as response:  # noqa: S310
                centers = json.load(response)["Topology"]["DataCenters"] or ()
            return any(rack["DataNodes"] for center in centers for rack in center["Racks"] or ())
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):  # or no answer that is expected
            return False
