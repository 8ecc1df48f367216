"""Getting hold of Ray, and letting go of it: a local one of our own, or a cluster that runs.

Where ``RAY_ADDRESS`` names a cluster (as in a job) that one is used, with whatever authentication
the environment sets for it. Otherwise a Ray of our own is started on this machine, with a token
that lies in a private file instead of the home folder, where a later ``ray start`` would pick it
up while other drivers do not.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Ray reads these when it is imported; it must not phone home, nor re-resolve environments.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
# One thread per process: many agents share few cores, and results must not depend on a pool.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Without these, a worker whose driver is gone prints a warning on every start.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayActorError

__all__ = ["RayActorError", "connected"]

#: Imported once by each worker's template process instead of by each actor's constructor.
_PRELOADED = "numpy,swarm_runtime.machines.host,swarm_runtime.replay.plan"


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Connect to the cluster that the environment names, or to a new local one, for a while.

    A local one is shut down at the end; from a cluster only this driver leaves. If this process is
    connected already, that connection is used and left alone.
    """
    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        if "RAY_ADDRESS" in os.environ:
            ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
        else:
            _use_private_token()
            os.environ.setdefault("RAY_preload_python_modules", _PRELOADED)
            # Actors that wait are not a fault, however many there are: Ray would warn of each.
            os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "64")
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        stack.callback(ray.shutdown)
        yield


def _use_private_token() -> None:
    """Give a Ray of our own a token of our own, unless the user has set authentication up.

    Ray turns authentication on by itself where it finds a token. It remembers the first one that
    it read, so there is one per process, however often Ray is started; the file goes at the end.
    """
    if any(name.startswith("RAY_AUTH_") for name in os.environ):
        return
    folder = tempfile.mkdtemp(prefix="swarm-token-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
