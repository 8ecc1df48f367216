"""A bank's file at a glance: counted as it is, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm_runtime.errors import StoreError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.overview import known_by, names_in, overview
from tests.banks import START_S, make_bank
from tests.experiences import DAY_S, SPACE, experience, trajectory


def test_single_tries_are_counted_by_task_type_and_domain(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    make_bank(path)
    with ReasoningBank.open(path) as bank:
        bank.record(trajectory("other", task_type="migrate", agent="dba"))
    found = overview(path)
    assert (found.patterns, found.agents, found.space, found.kept_from_s) == (3, 3, None, None)
    assert {name: count for name, count in found.counts.items() if count} == {
        "trajectories": 17,
        "verdict": 1,
        "item": 1,
    }
    assert found.size_bytes >= path.stat().st_size
    migrate, fetch = found.task_types
    assert (migrate.domain, migrate.task_type, migrate.trajectories) == ("", "migrate", 1)
    assert (fetch.domain, fetch.task_type, fetch.trajectories, fetch.agents) == (
        "web",
        "fetch",
        16,
        2,
    )
    assert (fetch.first_known_s, fetch.last_known_s) == (START_S, START_S + 7 * 3_600)
    names = names_in(path)
    assert names.task_types == ("fetch", "migrate")
    assert names.domains == ("", "web")
    assert names.agents == ("dba", "scraper-1", "scraper-2")


def test_batches_of_agents_and_their_space_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with ReasoningBank.open(path, space=SPACE) as bank:
        bank.record_all([experience("a", 1), experience("a", 2), experience("b", 1)])
    found = overview(path)
    (trade,) = found.task_types
    assert (trade.task_type, trade.experiences, trade.trajectories, trade.agents) == (
        "trade",
        3,
        0,
        2,
    )
    assert found.space == ("trend", "volatility")


def test_what_retention_folded_is_still_counted(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    make_bank(path)
    assert known_by(path, START_S + 3_600) == 4
    with ReasoningBank.open(path) as bank:
        before = overview(path)
        bank.upkeep.retain(START_S + 40 * DAY_S, days=30)
    found = overview(path)
    assert found.kept_from_s == START_S + 10 * DAY_S
    (fetch,) = found.task_types
    # The item's trajectories are let go too; the later verdict was known by then.
    assert (fetch.trajectories, fetch.folded, fetch.agents) == (0, 16, 2)
    assert found.patterns == before.patterns == 2
    assert known_by(path, START_S + 40 * DAY_S) == 0


def test_an_empty_bank_has_nothing_to_show(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    ReasoningBank.open(path).close()
    found = overview(path)
    assert (found.patterns, found.agents, found.task_types) == (0, 0, ())
    assert not any(found.counts.values())


def test_what_is_no_bank_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no bank" * 100)
    with pytest.raises(StoreError, match="is no SQLite file"):
        overview(tmp_path / "notes.txt")
