"""A folder with the files that the help of ``swarm bank`` speaks of, and a way to run it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.doors.bank_files import make_files
from tests.doors.calls import Done, Run, call


@pytest.fixture(scope="session")
def prepared_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    make_files(folder)
    return folder


@pytest.fixture
def here(prepared_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the help speaks of, in which commands run."""
    shutil.copytree(prepared_files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def run() -> Run:
    """Run ``swarm bank``; without a traceback, whatever comes of it."""

    def invoke(*arguments: str, given: str = "") -> Done:
        done = call("bank", *arguments, given=given.encode())
        if done.error is not None:
            raise done.error
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return invoke
