"""Copies of a bank's file: made while others write, checked before they count, put in place whole.

A copy is made under a name of its own, checked, brought to the disk, and then renamed: whoever
looks sees the old file or the new one, at any moment, whatever is killed. Backups are plain single
files (no log beside them), so they can be copied and moved by any means.

Above: ``store``. Below: ``sqlite_files``.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.log.files import (
    MEMORY,
    RESTORE,
    SqliteFile,
    explained,
    format_of,
    refuse_damage,
    refuse_newer,
)
from swarm_runtime.memory.log.protocol import Progress

__all__ = ["back_up", "back_up_in_turn", "backups_in", "restore"]

#: Pages that are copied at once.
_STEP_PAGES = 1_024
_DRAFT = ".draft"
#: What SQLite may have beside a file that is in use, or that somebody was killed over.
_TAILS = ("-wal", "-shm", "-journal")
#: Those of them that SQLite would read into another file of the same name.
_LOGS = ("-wal", "-journal")


def back_up(file: SqliteFile, path: str | Path, progress: Progress | None = None) -> None:
    """Write a consistent copy of an open bank; see ``log.ExperienceStore.backup``."""
    target = _target(path)
    if target.exists():
        if file.path != MEMORY and target.samefile(file.path):
            raise RunFolderError(str(target), "is the bank itself; name another file")
        _refuse_foreign(target)
    with _draft(target) as draft:
        if file.path == MEMORY:
            _copy(file.connection, file.path, draft, target, progress)
        else:
            # A connection of its own, whose reading holds one state fast: who writes meanwhile
            # neither waits nor makes the copy begin anew.
            with explained(file.path), closing(_reader(Path(file.path), alone=False)) as source:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                _copy(source, file.path, draft, target, progress)
            shutil.copymode(file.path, draft)
        _in_place(draft, target)


def back_up_in_turn(
    file: SqliteFile, folder: str | Path, kept: int, progress: Progress | None = None
) -> Path:
    """Back up under the next number in a folder, and delete all but the newest.

    Only one process should do so in one folder at a time.

    Parameters
    ----------
    file : SqliteFile
    folder : str or Path
        Made if it is missing.
    kept : int (>= 1)
        How many backups of this bank there are at most afterwards.
    progress : callable or None

    Returns
    -------
    Path
        The new backup.
    """
    if kept < 1:
        raise ValueError(f"kept = {kept}: at least 1")
    stem = "bank" if file.path == MEMORY else Path(file.path).name
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunFolderError(str(place), f"can't be made: {problem}") from problem
    for left in place.iterdir():
        # Of somebody who was killed.
        if left.name.startswith(f"{stem}.backup-") and _DRAFT in left.name:
            left.unlink(missing_ok=True)
    before = backups_in(place, stem)
    number = 1 + (_number(before[-1]) if before else 0)
    made = place / f"{stem}.backup-{number:06d}"
    back_up(file, made, progress)
    for old in backups_in(place, stem)[:-kept]:
        old.unlink(missing_ok=True)
    return made


def backups_in(folder: str | Path, stem: str) -> list[Path]:
    """Return the numbered backups of a bank in a folder, the newest last."""
    form = re.compile(rf"{re.escape(stem)}\.backup-\d+")
    found = [one for one in Path(folder).iterdir() if form.fullmatch(one.name)]
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def restore(
    backup: str | Path,
    path: str | Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Path | None:
    """Put a backup in a bank's place.

    Parameters
    ----------
    backup : str or Path
        A backup, or any bank's file; it stays as it is.
    path : str or Path
        Where the bank is to be.
    replace : bool
        Whether a file that is there may be put aside; it is renamed, not deleted.
    progress : callable or None
        Told (pages done, pages in all).

    Returns
    -------
    Path or None
        Where the old file is now; None if there was none.

    Raises
    ------
    StoreError
        If the backup is damaged, no bank, or of a newer format; or a process uses the old file.
    RunFolderError
        If there is no backup, or a file is in its place and ``replace`` was not given.
    """
    source, target = Path(backup), _target(path)
    if not source.is_file():
        raise RunFolderError(str(source), "no such file; name a backup")
    if target.exists() and not replace:
        raise RunFolderError(
            str(target), "is there already; say that it is to be replaced (it is kept beside)"
        )
    if target.exists() and target.samefile(source):
        raise RunFolderError(str(target), "is the backup itself; name another file")
    with _draft(target) as draft:
        alone = not any(_beside(source, tail).exists() for tail in _TAILS)
        with explained(str(source)), closing(_reader(source, alone=alone)) as connection:
            refuse_newer(connection, str(source))
            refuse_damage(connection, str(source), source.stat().st_size if alone else None)
            _copy(connection, str(source), draft, target, progress)
        # A backup that nobody may write to still makes a bank that its owner can.
        like = target if target.exists() else source
        draft.chmod((like.stat().st_mode | stat.S_IRUSR | stat.S_IWUSR) & 0o777)
        aside = _put_aside(target)
        _in_place(draft, target)
    return aside


def _target(path: str | Path) -> Path:
    target = Path(path).absolute()
    if not target.parent.is_dir():
        raise RunFolderError(str(target.parent), "no such folder; make it first")
    if target.is_dir():
        raise RunFolderError(str(target), "is a folder; name a file in it")
    return target


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _refuse_foreign(path: Path) -> None:
    """Raise RunFolderError if a file is no bank: nothing else is ever overwritten."""
    if not path.stat().st_size:
        return
    try:
        with explained(str(path)), closing(_reader(path, alone=False)) as connection:
            format_of(connection, str(path))
    except StoreError as problem:
        raise RunFolderError(str(path), "is there already, and no bank") from problem


def _reader(path: Path, *, alone: bool) -> sqlite3.Connection:
    """Open a file to read it; if it stands alone and still, without leaving anything beside it."""
    mode = "mode=ro&immutable=1" if alone else "mode=ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Make a file to write to beside a target; it is gone afterwards unless it was renamed."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{target.name}{_DRAFT}-", dir=target.parent)
    except OSError as problem:
        raise RunFolderError(str(target.parent), f"can't be written: {problem}") from problem
    os.close(handle)
    try:
        yield Path(name)
    finally:
        for suffix in ("", *_TAILS):
            Path(name + suffix).unlink(missing_ok=True)


def _copy(
    source: sqlite3.Connection, name: str, draft: Path, target: Path, progress: Progress | None
) -> None:
    """Copy a bank page by page, and check the copy."""

    def told(status: int, left: int, pages: int) -> None:
        if progress is not None:
            progress(pages - left, pages)

    with explained(str(target)), closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        try:
            source.backup(copy, pages=_STEP_PAGES, progress=told, sleep=0.0)
        except sqlite3.DatabaseError as problem:
            # Of a full disk the copy's name is told, of damage the original's.
            if not isinstance(problem, sqlite3.OperationalError):
                raise StoreError(name, f"is damaged ({problem}); {RESTORE}") from problem
            raise
        # One plain file, that can be read where nothing can be written.
        copy.execute("PRAGMA journal_mode = DELETE")
        refuse_damage(copy, str(target), None)


def _in_place(draft: Path, target: Path) -> None:
    """Bring a copy to the disk and give it its name."""
    try:
        _synced(draft)
        draft.replace(target)
        _synced(target.parent)
    except OSError as problem:
        raise RunFolderError(str(target), f"can't be written: {problem}") from problem


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_aside(target: Path) -> Path | None:
    """Rename a bank's file, and the log beside it: the new file must not be read with the old log.

    A sound file takes in its log first and then is linked under its new name, so that at no moment
    there is no bank. Of a damaged one, file and log are renamed as they are.
    """
    if not any(_beside(target, tail).exists() for tail in ("", *_LOGS)):
        return None
    number = 1
    while any(_beside(target, f".old-{number}{tail}").exists() for tail in ("", *_LOGS)):
        number += 1
    aside = _beside(target, f".old-{number}")
    if target.exists():
        try:
            with (
                explained(str(target)),
                closing(sqlite3.connect(target, timeout=1.0, isolation_level=None)) as old,
            ):
                # Only its sole user can do this; the log is taken in and deleted.
                old.execute("PRAGMA journal_mode = DELETE")
        except RunFolderError:
            raise
        except StoreError as problem:
            if "another process" in problem.reason:
                raise StoreError(
                    str(target), "is in use by another process; end that one first"
                ) from problem
    left = [tail for tail in _LOGS if _beside(target, tail).exists()]
    if left or not _linked(target, aside):
        for tail in ("", *left):
            if _beside(target, tail).exists():
                _beside(target, tail).rename(_beside(aside, tail))
    _beside(target, "-shm").unlink(missing_ok=True)
    _synced(target.parent)
    return aside if aside.exists() else None


def _linked(path: Path, other: Path) -> bool:
    """Give a file a second name; return whether the file system can."""
    try:
        os.link(path, other)
    except OSError:
        return False
    return True
