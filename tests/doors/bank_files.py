"""The files that the help of ``swarm bank`` speaks of, and files that are no banks."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from swarm_runtime.memory.bank import ReasoningBank
from tests.banks import make_bank, page_tries, write_lines
from tests.doors.calls import call
from tests.experiences import SPACE, experience

__all__ = ["make_bad_files", "make_files"]


def make_files(folder: Path) -> None:
    """Write a bank, the folder of a run, a backup, tries, keys and bundles."""
    make_bank(folder / "bank.db")
    (folder / "run").mkdir()
    with ReasoningBank.open(folder / "run" / "bank.sqlite", space=SPACE) as bank:
        bank.record_all(experience("a", epoch, cells=[6]) for epoch in range(1, 9))
    shutil.copy(folder / "bank.db", folder / "backup.db")
    write_lines(folder / "tries.jsonl", page_tries(3, prefix="run2"))
    bank, key = str(folder / "bank.db"), str(folder / "my.key")
    for arguments in (
        ["keygen", key, "--name", "me"],
        ["export", bank, str(folder / "signed.bundle"), "--sign", key],
        ["export", bank, str(folder / "unsigned.bundle")],
    ):
        done = call("bank", *arguments)
        assert done.exit_code == 0, done
    shutil.copy(f"{key}.pub", folder / "trusted.keys")


def make_bad_files(folder: Path) -> None:
    """Write what is no bank, and banks that were damaged."""
    (folder / "empty.db").touch()
    (folder / "foreign.txt").write_text("A shopping list: apples, pears.\n" * 200)
    with closing(sqlite3.connect(folder / "foreign.db")) as other:
        other.execute("CREATE TABLE prices (day TEXT, price REAL)")
        other.commit()
    data = (folder / "bank.db").read_bytes()
    (folder / "truncated.db").write_bytes(data[: len(data) // 2 + 100])
    (folder / "head.db").write_bytes(data[:100])
    start = data.index(b'"approach":"mirror"')
    (folder / "flipped.db").write_bytes(data[:start] + b"?" * 400 + data[start + 400 :])
    bundle = (folder / "unsigned.bundle").read_bytes()
    (folder / "damaged.bundle").write_bytes(bundle[:300] + b"\0" + bundle[301:])
    (folder / "bad.jsonl").write_text('{"id": "x"\n')
    (folder / "folder").mkdir()
