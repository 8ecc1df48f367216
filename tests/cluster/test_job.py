"""The main job as a Ray job, on a head that ``ray start`` made: the same digest."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs import simulated_digest, small

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
#: How long the head may take to come up.
PATIENCE_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def head(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start a head with a token of its own; give the environment that reaches it."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    port, dashboard = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["ray", "start", "--head", "--block", f"--port={port}", "--num-cpus=2"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"]
    command += [f"--dashboard-port={dashboard}", "--disable-usage-stats"]
    # The other tests' Ray is alive on this machine: two of them can't share the agents' ports.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    command += [f"--dashboard-agent-grpc-port={free_port()}"]
    command += [f"--runtime-env-agent-port={free_port()}"]
    log = tmp_path / "head.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        request = urllib.request.Request(
            f"{environment['RAY_API_SERVER_ADDRESS']}/api/version",
            headers={"Authorization": f"Bearer {token.read_text()}"},
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline_s, log.read_text()
            with pytest.raises(subprocess.TimeoutExpired):  # it must not end, and we wait a bit
                process.wait(0.5)
        yield environment
    finally:
        # `ray start --block` takes its own children with it.
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_submitted_job_gives_the_same_digest(head: dict[str, str], tmp_path: Path) -> None:
    settings = small(shell="ray", swarm__agents_per_actor=2)
    config, out = tmp_path / "settings.yaml", tmp_path / "run"
    config.write_text(settings.model_dump_json())
    command = [
        *("ray", "job", "submit", "--working-dir", ".", "--"),
        *("python", "-m", "swarm_runtime.cli", "run"),
        *("--config", str(config), "--out", str(out)),
    ]
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        submitted = subprocess.run(
            command, cwd=ROOT, env=head, capture_output=True, text=True, check=False
        )
        # The dashboard answers a little before it has an agent that takes jobs.
        too_early = "No available agent" in submitted.stdout + submitted.stderr
        if not too_early or time.monotonic() > deadline_s:
            break
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["digest"] == simulated_digest(settings, hosts=1)
