"""What a bank's file holds at a glance: counted where it lies, nothing derived or decoded.

Above: the doors. Below: ``sqlite_files``.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from swarm_runtime.memory.log.files import SqliteFile
from swarm_runtime.memory.log.protocol import SPACE
from swarm_runtime.memory.records.annotations import ANNOTATIONS
from swarm_runtime.memory.records.pattern import space_from_json

__all__ = ["Names", "Overview", "TaskType", "known_by", "names_in", "overview"]

#: Tables whose rows are tries, or what is left of them: (name, what one row stands for).
_TRIES = (("trajectories", "1"), ("experiences", "1"), ("folded", "trials"))


@dataclass(frozen=True, slots=True)
class TaskType:
    """What is recorded of one type of task in one domain.

    Attributes
    ----------
    domain, task_type : str
    trajectories : int
        Single tries.
    experiences : int
        Batches of agents.
    folded : int
        Single tries of which retention left only the counters.
    agents : int
        How many reported.
    first_known_s, last_known_s : int
        When the first and the last outcome were known.
    """

    domain: str
    task_type: str
    trajectories: int
    experiences: int
    folded: int
    agents: int
    first_known_s: int
    last_known_s: int


@dataclass(frozen=True, slots=True)
class Overview:
    """A bank's file at a glance.

    Attributes
    ----------
    path : str
    uuid : str
        Drawn when the bank was made; its backups have the same one.
    format : int
        Of the file.
    size_bytes : int
        With the log beside it.
    counts : dict of str to int
        Records by kind, as the log holds them.
    patterns : int
        That single tries belong to (those of agents' batches aren't counted here).
    agents : int
    space : tuple of str or None
        Features of the declared space of contexts.
    kept_from_s : int or None
        Single tries known by then were folded into statistics; None: none was.
    task_types : tuple of TaskType
        By domain and name.
    """

    path: str
    uuid: str
    format: int
    size_bytes: int
    counts: dict[str, int]
    patterns: int
    agents: int
    space: tuple[str, ...] | None
    kept_from_s: int | None
    task_types: tuple[TaskType, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a bank, each sorted: for hints where somebody mistyped one.

    Attributes
    ----------
    task_types, domains, agents : tuple of str
    """

    task_types: tuple[str, ...]
    domains: tuple[str, ...]
    agents: tuple[str, ...]


def overview(path: str | Path) -> Overview:
    """Return what a bank's file holds.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    with closing(SqliteFile(path, check=False)) as file, file.reading():
        noted = file.noted("uuid", "format", "kept_from_s", SPACE)
        run = file.connection.execute
        counts = dict.fromkeys(ANNOTATIONS, 0)
        counts.update(run("SELECT kind, count(*) FROM annotations GROUP BY kind"))
        for table, rows in _TRIES:
            counts[table] = run(f"SELECT coalesce(sum({rows}), 0) FROM {table}").fetchone()[0]
        filed = "SELECT pattern FROM trajectories UNION SELECT pattern FROM folded"
        found = run(
            "SELECT domain, task_type, sum(single), sum(batch), sum(gone), count(DISTINCT agent),"
            f" min(first_s), max(last_s) FROM ({_by_task_and_agent()})"
            " GROUP BY domain, task_type ORDER BY domain, task_type"
        ).fetchall()
        files = [Path(file.path), Path(f"{file.path}-wal")]
        return Overview(
            path=file.path,
            uuid=noted["uuid"],
            format=int(noted["format"]),
            size_bytes=sum(one.stat().st_size for one in files if one.exists()),
            counts=counts,
            patterns=run(f"SELECT count(*) FROM ({filed})").fetchone()[0],
            agents=len(_distinct(file, "agent")),
            space=_features(noted.get(SPACE)),
            kept_from_s=int(noted["kept_from_s"]) if "kept_from_s" in noted else None,
            task_types=tuple(TaskType(*row) for row in found),
        )


def names_in(path: str | Path) -> Names:
    """Return the names in a bank's file.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    with closing(SqliteFile(path, check=False)) as file, file.reading():
        return Names(*(_distinct(file, column) for column in ("task_type", "domain", "agent")))


def _by_task_and_agent() -> str:
    """Return a query of tries by domain, task type and agent."""
    group = "GROUP BY domain, task_type, agent"
    times = "min(known_at_s) AS first_s, max(known_at_s) AS last_s"
    return (
        "SELECT domain, task_type, agent, count(*) AS single, 0 AS batch, 0 AS gone,"
        f" {times} FROM trajectories {group} UNION ALL"
        f" SELECT domain, task_type, agent, 0, count(*), 0, {times} FROM experiences {group}"
        " UNION ALL SELECT domain, task_type, agent, 0, 0, sum(trials),"
        f" min(first_known_s), max(last_known_s) FROM folded {group}"
    )


def _distinct(file: SqliteFile, column: str) -> tuple[str, ...]:
    query = " UNION ".join(f"SELECT {column} FROM {table}" for table, _ in _TRIES)
    return tuple(row[0] for row in file.connection.execute(f"{query} ORDER BY 1"))


def _features(space: str | None) -> tuple[str, ...] | None:
    if space is None:
        return None
    return tuple(feature.name for feature in space_from_json(space).features)


def known_by(path: str | Path, until_s: int) -> int:
    """Return how many single tries were known by a moment.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    with closing(SqliteFile(path, check=False)) as file, file.reading():
        query = "SELECT count(*) FROM trajectories WHERE known_at_s <= ?"
        return int(file.connection.execute(query, (until_s,)).fetchone()[0])
