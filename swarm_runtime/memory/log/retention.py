"""How a bank's file forgets: trajectories are folded into counters, or pruned with their pattern.

``let_go`` and ``prune`` are described in ``log.ExperienceStore``. Whatever is deleted first leaves
a mark behind (``kept_from_s``, ``pruned``) by which it is recognised when somebody sends it again,
in the same commit or an earlier one: so nothing is counted twice, wherever the process is killed.
Above: ``store``. Below: ``folding``, ``filing``, ``store_rows``, ``sqlite_files``.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from swarm_runtime.core.codec import encode
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.files import RESTORE, SqliteFile
from swarm_runtime.memory.log.filing import (
    Filing,
    cell_from_json,
    cell_to_json,
    pattern_number,
    pattern_of,
)
from swarm_runtime.memory.log.folding import (
    fate_of,
    fold_trajectory,
    fold_usage,
    merged,
    outcome_of,
)
from swarm_runtime.memory.log.protocol import FoldedRow, FoldedUsage
from swarm_runtime.memory.log.rows import Filed, filed_trajectories, filing_of, read_annotations
from swarm_runtime.memory.records.annotations import Annotation, Tombstone, Usage, Verdict

__all__ = [
    "NOTES",
    "file_anew",
    "folded_rows",
    "folded_usage",
    "kept_from_s",
    "let_go",
    "prune",
    "unfiled",
]

#: What the file notes of its retention; see ``migrations``.
NOTES = ("kept_from_s", "trajectories_end", "annotations_end")
#: Trajectories that are folded, and patterns that are pruned, in one commit: others who write wait
#: for less than a tenth of a second.
_SLICE = 1_024
_PATTERNS = 256
#: Columns of the folded tables, in their order; the seal comes last.
_ROW = (
    "pattern, agent, domain, task_type, approach, cell,"
    " trials, successes, failures, reward, square, first_known_s, last_known_s"
)
_USAGE = (
    "target, agent, pattern, given, used, propensity,"
    " trials, successes, failures, reward, square, first_known_s, last_known_s"
)


def kept_from_s(noted: Mapping[str, str]) -> int | None:
    """Return the time up to which trajectories were let go; None: never."""
    return int(noted["kept_from_s"]) if "kept_from_s" in noted else None


# --- what is left behind ---------------------------------------------------------------------


def folded_rows(file: SqliteFile) -> Iterator[tuple[int, FoldedRow]]:
    """Yield what was folded of trajectories, with the numbers of the patterns."""
    with file.explained():
        for *columns, seal in file.connection.execute(
            f"SELECT {_ROW}, seal FROM folded ORDER BY pattern, agent"
        ):
            yield _row(file, columns, seal)


def folded_usage(file: SqliteFile) -> Iterator[FoldedUsage]:
    """Yield what was folded of usages."""
    with file.explained():
        for *columns, seal in file.connection.execute(
            f"SELECT {_USAGE}, seal FROM folded_usage"
            " ORDER BY target, agent, pattern, given, used, propensity"
        ):
            yield _usage(file, columns, seal)


def _row(file: SqliteFile, columns: list[Any], seal: bytes) -> tuple[int, FoldedRow]:
    number, agent, domain, task_type, approach, cell, *sums = columns
    _check(file, columns, seal, f"what is folded of {approach!r} by {agent!r}")
    row = FoldedRow(domain, task_type, approach, cell_from_json(cell), agent, *sums)
    return number, row


def _usage(file: SqliteFile, columns: list[Any], seal: bytes) -> FoldedUsage:
    target, agent, number, given, used, propensity, *sums = columns
    _check(file, columns, seal, f"what is folded of the usage of {target!r} by {agent!r}")
    said = None if used < 0 else bool(used)
    return FoldedUsage(target, agent, pattern_of(number), bool(given), said, propensity, *sums)


def _check(file: SqliteFile, columns: list[Any], seal: bytes, name: str) -> None:
    if _seal(columns) != seal:
        raise StoreError(file.path, f"{name} does not match its seal; {RESTORE}")


def _seal(columns: Sequence[Any]) -> bytes:
    return hashlib.blake2b(encode(list(columns)), digest_size=8).digest()


class _Leftovers:
    """Rows of the folded tables that a commit adds to."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._rows: dict[tuple[int, str], FoldedRow] = {}
        self._usage: dict[tuple[Any, ...], FoldedUsage] = {}

    def add(self, number: int, row: FoldedRow) -> None:
        """Add what a trajectory taught."""
        key = (number, row.agent)
        known = self._rows.get(key)
        self._rows[key] = row if known is None else merged(known, row)

    def add_usage(self, row: FoldedUsage) -> None:
        """Add what became of a usage."""
        key = _usage_key(row)
        known = self._usage.get(key)
        self._usage[key] = row if known is None else merged(known, row)

    def write(self) -> None:
        """Add all of it to what is in the file."""
        connection = self._file.connection
        written: list[tuple[Any, ...]] = []
        find = f"SELECT {_ROW}, seal FROM folded WHERE pattern = ? AND agent = ?"
        for key, row in sorted(self._rows.items()):
            here = connection.execute(find, key).fetchone()
            if here is not None:
                row = merged(_row(self._file, list(here[:-1]), here[-1])[1], row)
            domain, task_type, approach, cell, _, *sums = row
            columns = (*key, domain, task_type, approach, cell_to_json(cell), *sums)
            written.append((*columns, _seal(columns)))
        marks = ", ".join("?" * 14)
        connection.executemany(f"INSERT OR REPLACE INTO folded VALUES ({marks})", written)
        written = []
        find = (
            f"SELECT {_USAGE}, seal FROM folded_usage WHERE target = ? AND agent = ?"
            " AND pattern = ? AND given = ? AND used = ? AND propensity = ?"
        )
        for key, usage in sorted(self._usage.items()):
            here = connection.execute(find, key).fetchone()
            if here is not None:
                usage = merged(_usage(self._file, list(here[:-1]), here[-1]), usage)
            columns = (*key, *usage[6:])
            written.append((*columns, _seal(columns)))
        marks = ", ".join("?" * 14)
        connection.executemany(f"INSERT OR REPLACE INTO folded_usage VALUES ({marks})", written)


def _usage_key(row: FoldedUsage) -> tuple[Any, ...]:
    used = -1 if row.used is None else int(row.used)
    return row.target, row.agent, pattern_number(row.pattern), int(row.given), used, row.propensity


# --- letting go ------------------------------------------------------------------------------


def let_go(file: SqliteFile, until_s: int) -> int:
    """See ``log.ExperienceStore.let_go``."""
    gone, last = 0, (-(2**62), 0)
    while True:
        with file.transaction():
            noted = file.noted(*NOTES)
            known = kept_from_s(noted)
            from_s = until_s if known is None else max(until_s, known)
            # Before anything is deleted: from here on it is recognised if it comes again.
            file.note("kept_from_s", str(from_s))
            file.connection.execute("DELETE FROM pruned WHERE until_s <= ?", (from_s,))
            found = list(
                filed_trajectories(
                    file,
                    "known_at_s <= ? AND (known_at_s, seq) > (?, ?)",
                    (until_s, *last),
                    f"known_at_s, seq LIMIT {_SLICE}",
                )
            )
            reader = filing_of(file).reader
            said = _said_of(file, found)
            tombstones = _tombstones_of(file, found)
            leftovers = _Leftovers(file)
            left: list[Filed] = []
            for one in found:
                number, tried = _number(file, one), one.trajectory
                fate = fate_of(said[tried.id], _naming(one, tombstones), until_s)
                if fate.stays:
                    continue
                left.append(one)
                if fate.counts:
                    outcome = outcome_of(tried, _verdicts(said[tried.id]))
                    row = fold_trajectory(tried, reader.cell(tried.context), outcome)
                    leftovers.add(number, row)
                    _fold_usages(file, leftovers, one, said[tried.id])
            leftovers.write()
            _delete(file, left)
            if len(found) < _SLICE:
                _delete_orphans(file, until_s)
        gone += len(left)
        if len(found) < _SLICE:
            return gone
        last = (found[-1].trajectory.known_at_s, found[-1].seq)


def prune(file: SqliteFile, numbers: Sequence[int], until_s: int) -> int:
    """See ``log.ExperienceStore.prune``; patterns are named by their numbers."""
    gone = 0
    wanted = sorted(set(numbers))
    for start in range(0, len(wanted), _PATTERNS):
        some = wanted[start : start + _PATTERNS]
        with file.transaction():
            from_s = kept_from_s(file.noted(*NOTES))
            if from_s is None or until_s > from_s:
                file.connection.executemany(
                    "INSERT INTO pruned VALUES (?, ?) ON CONFLICT (pattern)"
                    " DO UPDATE SET until_s = max(until_s, excluded.until_s)",
                    [(number, until_s) for number in some],
                )
            for number in some:
                gone += _prune_one(file, number, until_s)
    return gone


def _prune_one(file: SqliteFile, number: int, until_s: int) -> int:
    connection = file.connection
    found = list(filed_trajectories(file, "pattern = ? AND known_at_s <= ?", (number, until_s)))
    leftovers = _Leftovers(file)
    said = _said_of(file, found)
    tombstones = _tombstones_of(file, found)
    for one in found:
        if fate_of((), _naming(one, tombstones), until_s).counts:
            _fold_usages(file, leftovers, one, said[one.trajectory.id])
    leftovers.write()
    _delete(file, found)
    (folded,) = connection.execute(
        "SELECT total(trials) FROM folded WHERE pattern = ?", (number,)
    ).fetchone()
    deleted = connection.execute("DELETE FROM folded WHERE pattern = ?", (number,)).rowcount
    deleted += connection.execute(
        "DELETE FROM folded_usage WHERE target = ?", (pattern_of(number),)
    ).rowcount
    if deleted:
        _next_generation(file)
    return len(found) + int(folded)


def _number(file: SqliteFile, one: Filed) -> int:
    if one.pattern is None:
        raise StoreError(
            file.path,
            f"trajectory {one.trajectory.id!r} was recorded by an older program; open the bank"
            " again",
        )
    return one.pattern


def _said_of(file: SqliteFile, found: list[Filed]) -> dict[str, list[Verdict | Usage]]:
    """Return verdicts and usages by trajectory."""
    said: dict[str, list[Verdict | Usage]] = defaultdict(list)
    ids = [one.trajectory.id for one in found]
    for kind in ("verdict", "usage"):
        for one in _annotations_about(file, kind, ids):
            if isinstance(one, (Verdict, Usage)):
                said[one.trajectory].append(one)
    return said


def _tombstones_of(file: SqliteFile, found: list[Filed]) -> dict[tuple[str, str], list[Tombstone]]:
    """Return tombstones by what they name, of some trajectories, their agents and patterns."""
    names = {one.trajectory.id for one in found} | {one.trajectory.agent for one in found}
    names |= {pattern_of(one.pattern) for one in found if one.pattern is not None}
    known: dict[tuple[str, str], list[Tombstone]] = {}
    for one in _annotations_about(file, "tombstone", sorted(names)):
        if isinstance(one, Tombstone):
            known.setdefault((one.target_kind, one.target), []).append(one)
    return known


def _naming(one: Filed, tombstones: Mapping[tuple[str, str], list[Tombstone]]) -> list[Tombstone]:
    if not tombstones:
        return []
    names = [("trajectory", one.trajectory.id), ("agent", one.trajectory.agent)]
    if one.pattern is not None:
        names.append(("pattern", pattern_of(one.pattern)))
    return [tombstone for name in names for tombstone in tombstones.get(name, ())]


def _annotations_about(file: SqliteFile, kind: str, names: list[str]) -> Iterator[Annotation]:
    if not file.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM annotations WHERE kind = ?)", (kind,)
    ).fetchone()[0]:
        return
    for start in range(0, len(names), 800):
        some = names[start : start + 800]
        where = f"kind = ? AND about IN ({','.join('?' * len(some))})"
        yield from read_annotations(file, where, (kind, *some))


def _verdicts(said: Iterable[Verdict | Usage]) -> list[Verdict]:
    return [one for one in said if isinstance(one, Verdict)]


def _fold_usages(
    file: SqliteFile, leftovers: _Leftovers, one: Filed, said: list[Verdict | Usage]
) -> None:
    outcome = outcome_of(one.trajectory, _verdicts(said))
    for usage in said:
        if isinstance(usage, Usage):
            pattern = pattern_of(_number(file, one))
            leftovers.add_usage(fold_usage(usage, pattern, one.trajectory.known_at_s, outcome))


def _delete(file: SqliteFile, found: list[Filed]) -> None:
    """Delete trajectories, and the verdicts and usages that speak of them."""
    if not found:
        return
    _keep_ends(file)
    file.connection.executemany(
        "DELETE FROM trajectories WHERE seq = ?", ((one.seq,) for one in found)
    )
    file.connection.executemany(
        "DELETE FROM annotations WHERE kind IN ('verdict', 'usage') AND about = ?",
        ((one.trajectory.id,) for one in found),
    )
    _next_generation(file)


def _delete_orphans(file: SqliteFile, until_s: int) -> None:
    """Delete verdicts and usages, known by then, of trajectories that are no longer here."""
    _keep_ends(file)
    file.connection.execute(
        "DELETE FROM annotations WHERE kind IN ('verdict', 'usage') AND known_at_s <= ?"
        " AND NOT EXISTS (SELECT 1 FROM trajectories WHERE id = about)",
        (until_s,),
    )


def _keep_ends(file: SqliteFile) -> None:
    """Note which rows there were, so that their numbers don't come again."""
    for table in ("trajectories", "annotations"):
        key = f"{table}_end"
        last = file.connection.execute(f"SELECT max(seq) FROM {table}").fetchone()[0]
        file.note(key, str(max(last or 0, int(file.noted(key).get(key, "0")))))


def _next_generation(file: SqliteFile) -> None:
    file.note("generation", str(int(file.noted("generation").get("generation", "0")) + 1))


# --- filing ----------------------------------------------------------------------------------


def unfiled(file: SqliteFile) -> bool:
    """Return whether a trajectory has no pattern's number: an older program recorded it."""
    found = file.connection.execute("SELECT 1 FROM trajectories WHERE pattern IS NULL LIMIT 1")
    return found.fetchone() is not None


def file_anew(file: SqliteFile, before: Filing | None, filing: Filing) -> None:
    """File trajectories, and what is folded of them, under other numbers; in a transaction.

    Parameters
    ----------
    file : SqliteFile
    before : Filing or None
        How they are filed now; None: only what isn't filed yet is.
    filing : Filing
    """
    where = "seq > ?" if before is not None else "pattern IS NULL AND seq > ?"
    last, changed = 0, False
    while found := list(filed_trajectories(file, where, (last,), f"seq LIMIT {_SLICE}")):
        last = found[-1].seq
        numbers = [(filing.number(one.trajectory), one.seq) for one in found]
        changed |= any(new[0] != one.pattern for new, one in zip(numbers, found, strict=True))
        file.connection.executemany("UPDATE trajectories SET pattern = ? WHERE seq = ?", numbers)
    if before is not None:
        rows = [row for _, row in folded_rows(file)]
        if rows:
            # Of contexts that were let go the cell alone is known; its middle stands for them.
            file.connection.execute("DELETE FROM folded")
            leftovers, changed = _Leftovers(file), True
            for row in rows:
                cell = filing.reader.cell(before.reader.centre(row.cell))
                number = pattern_number((row.domain, row.task_type, row.approach, cell))
                leftovers.add(number, row._replace(cell=cell))
            leftovers.write()
    if changed:
        _next_generation(file)
