"""Upkeep that is done by itself while a bank is served: backups, snapshots, pruning.

A thread looks every few seconds what is due; ``keep`` does the same when it is called, at whatever
time it is told. What fails is logged and tried again, and never ends the service. Above:
``reasoning_bank``. Below: ``lanes``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.lanes import Lane
from swarm_runtime.config import UpkeepSettings
from swarm_runtime.errors import SwarmError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.backups import backups_in
from swarm_runtime.memory.log.store import SqliteStore

__all__ = ["Keeper", "Reader"]

_LOG = logging.getLogger(__name__)
#: How often it looks, in seconds.
_LOOK_EVERY_S = 5.0
#: When what failed is tried again.
_AGAIN_S = 60.0
#: How often a bank that is kept small by itself looks whether there is reason to.
_TEND_EVERY_S = 60.0
#: How often what answers are given from is kept for the next start. (A bank does so by itself when
#: much is new, and when it is closed; this is for one that is killed.)
_SNAPSHOT_EVERY_S = 300.0


@dataclass(frozen=True, slots=True)
class Reader:
    """A bank, and the log under it."""

    store: SqliteStore
    bank: ReasoningBank


class Keeper:
    """Does upkeep when it is due.

    Parameters
    ----------
    path : Path
        The bank's file; backups go to a folder beside it.
    settings : UpkeepSettings
    answers, log : Lane of Reader
        Who has the derived state, and who copies the file.
    records : callable
        How many records were acknowledged until now.
    clock : callable
        Seconds since 1970.
    look_every_s : float or None
        How often the thread looks; 0: never, ``keep`` has to be called. None: every 5 s.
    """

    def __init__(
        self,
        path: Path,
        settings: UpkeepSettings,
        answers: Lane[Reader],
        log: Lane[Reader],
        records: Callable[[], int],
        clock: Callable[[], float],
        look_every_s: float | None = None,
    ) -> None:
        self._path = path
        self._settings = settings
        self._answers, self._log = answers, log
        self._records = records
        self._clock = clock
        now_s = clock()
        self._due_s = {
            "tend": now_s + _TEND_EVERY_S if settings.automatic else None,
            "snapshot": now_s + _SNAPSHOT_EVERY_S,
            "backup": self._next_backup_s(now_s),
        }
        self._backed_up: tuple[int, dict[str, int]] | None = None
        self._seen = {"tend": 0, "snapshot": 0}
        self._look_every_s = _LOOK_EVERY_S if look_every_s is None else look_every_s
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bank-keeper", daemon=True)
        if self._look_every_s > 0:
            self._thread.start()

    @property
    def folder(self) -> Path:
        """Where backups are."""
        return self._path.with_name(f"{self._path.name}.backups")

    def close(self) -> None:
        """End the thread; what it is doing is finished."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def keep(self, now_s: float) -> list[str]:
        """Do what is due; return what was done, of ``tend``, ``snapshot`` and ``backup``."""
        done: list[str] = []
        work: dict[str, Callable[[float], bool]] = {
            "tend": self._tend, "snapshot": self._snapshot, "backup": self._backup,
        }  # fmt: skip
        with self._lock:
            for name, due_s in self._due_s.items():
                if due_s is None or now_s < due_s:
                    continue
                try:
                    if work[name](now_s):
                        done.append(name)
                except Exception as problem:
                    known = isinstance(problem, (SwarmError, OSError))
                    _LOG.warning(
                        "%s of %s failed: %s", name, self._path, problem, exc_info=not known
                    )
                    self._due_s[name] = now_s + _AGAIN_S
        return done

    def _run(self) -> None:
        while not self._over.wait(self._look_every_s):
            self.keep(self._clock())

    # --- kept small --------------------------------------------------------------------------

    def _tend(self, now_s: float) -> bool:
        self._due_s["tend"] = now_s + _TEND_EVERY_S
        if not self._changed("tend"):
            return False
        self._answers.call(lambda own: own.bank.upkeep.tend(int(now_s)))
        return True

    def _changed(self, name: str) -> bool:
        """Return whether anything was recorded here since this was asked last."""
        before, self._seen[name] = self._seen[name], self._records()
        return self._seen[name] != before

    # --- quick to start ----------------------------------------------------------------------

    def _snapshot(self, now_s: float) -> bool:
        self._due_s["snapshot"] = now_s + _SNAPSHOT_EVERY_S
        # Where nobody asks, nothing was derived.
        if not self._answers.is_open or not self._changed("snapshot"):
            return False
        return self._answers.call(lambda own: own.bank.upkeep.snapshot())

    # --- safe --------------------------------------------------------------------------------

    def _next_backup_s(self, now_s: float) -> float | None:
        """Return when the next backup is due; who is restarted often makes none the more often."""
        every_s = self._settings.backup_every_s
        if not every_s:
            return None
        if self.folder.is_dir() and (before := backups_in(self.folder, self._path.name)):
            return min(before[-1].stat().st_mtime, now_s) + every_s
        return now_s + every_s

    def _backup(self, now_s: float) -> bool:
        self._due_s["backup"] = now_s + self._settings.backup_every_s
        kept = self._settings.backups_kept

        def work(own: Reader) -> bool:
            # The log only grows, but for what a new generation says.
            state = own.store.generation(), own.store.counts()
            if state == self._backed_up or not any(state[1].values()):
                return False
            own.store.backup_in_turn(self.folder, kept)
            self._backed_up = state
            return True

        return self._log.call(work)
