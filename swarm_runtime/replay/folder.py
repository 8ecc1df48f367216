"""The run folder: what a run leaves on disk, and what it can be resumed from.

``settings.json`` is written first and says what the run is; ``journal.sqlite`` and ``bank.sqlite``
grow with it; ``results.json`` (what the digest covers), ``run.json`` (timing, faults, ids),
``report.json`` (both) and ``report.html`` are written last, each whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from swarm_runtime.config import Settings
from swarm_runtime.errors import RunFolderError
from swarm_runtime.trading.registry import StrategySource

__all__ = ["RunFolder"]

_FORMAT = 1


class RunFolder:
    """A run folder; see ``create`` and ``open``.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.path / "journal.sqlite"

    @property
    def bank(self) -> Path:
        """The ReasoningBank's file."""
        return self.path / "bank.sqlite"

    @property
    def page(self) -> Path:
        """The report as a page."""
        return self.path / "report.html"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end and its report was written."""
        return (self.path / "report.json").exists()

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        run_id: str,
        settings: Settings,
        sources: tuple[StrategySource, ...],
        fingerprint: str,
    ) -> RunFolder:
        """Make a new run folder.

        Raises
        ------
        RunFolderError
            If there is something already, or the folder can't be written.
        """
        folder = cls(path)
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise RunFolderError(
                    str(path),
                    "is there already; take another folder, or go on with `swarm resume`",
                )
            path.mkdir(parents=True, exist_ok=True)
            folder.write(
                "settings.json",
                {
                    "format": _FORMAT,
                    "run_id": run_id,
                    "settings": settings.model_dump(mode="json"),
                    # The text itself: a resumed run must not trade with an edited strategy.
                    "strategies": {source.name: source.text for source in sources},
                    "bars_fingerprint": fingerprint,
                },
            )
        except OSError as error:
            raise RunFolderError(str(path), f"can't be written: {error.strerror}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple[RunFolder, dict[str, Any], Settings]:
        """Open a run folder; return it, what ``settings.json`` holds, and the settings.

        Raises
        ------
        RunFolderError
            If it is no run folder, or of another version.
        """
        folder = cls(path)
        about = folder.read("settings.json")
        if about.get("format") != _FORMAT:
            raise RunFolderError(
                str(path), f"format {about.get('format')!r}; this version reads {_FORMAT}"
            )
        try:
            settings = Settings.model_validate(about["settings"])
        except (KeyError, pydantic.ValidationError) as error:
            raise RunFolderError(str(path), "settings.json is damaged") from error
        return folder, about, settings

    def read(self, name: str) -> dict[str, Any]:
        """Return one of the folder's JSON files.

        Raises
        ------
        RunFolderError
            If it isn't there or isn't JSON.
        """
        file = self.path / name
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            reason = f"no {name} there; is it a run folder, and is the run finished?"
            raise RunFolderError(str(self.path), reason) from None
        except (OSError, ValueError) as error:
            raise RunFolderError(str(file), f"can't be read: {error}") from error
        if not isinstance(value, dict):
            raise RunFolderError(str(file), "does not hold an object")
        return value

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file whole: into a new file first, then in place of the old one."""
        file = self.path / name
        draft = file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1, ensure_ascii=False, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
