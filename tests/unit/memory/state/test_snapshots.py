"""What was derived is there at the next start, and never trusted more than the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.annotations import Item, Tombstone, Verdict
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state import snapshots
from tests.experiences import DAY_S, SPACE, trajectory

COUNT = snapshots.LEAST_PLACES + 10
QUERY = "scrape page 17"


def tries(start: int, stop: int) -> list[Trajectory]:
    return [
        trajectory(
            f"t{at}",
            agent=f"a{at % 3}",
            context={"query": f"scrape page {at}"},
            excess=(-1.0) ** at,
            verdict=(-1) ** at,
        )
        for at in range(start, stop)
    ]


def opened(path: Path) -> ReasoningBank:
    return ReasoningBank.open(path, dimension=128)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank that was closed, and so kept its derived state."""
    path = tmp_path_factory.mktemp("kept") / "bank.db"
    with opened(path) as bank:
        bank.record_many(tries(0, COUNT))
        bank.note([Verdict("v", "t17", "judge", 1, DAY_S), Tombstone("agent", "a2", "", "w", 1)])
        bank.search(QUERY)
    return path


@pytest.fixture
def path(kept: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    copy = tmp_path / "bank.db"
    copy.write_bytes(kept.read_bytes())
    folder = tmp_path / "bank.db.derived"
    folder.mkdir()
    for one in Path(f"{kept}.derived").iterdir():
        (folder / one.name).write_bytes(one.read_bytes())
    return copy


def taken_up(bank: ReasoningBank) -> bool:
    """Whether vectors come from the folder and not from memory."""
    bank.search(QUERY)
    index = bank._derived.catalogue.index
    return index.describe()["opened"] != "new"  # type: ignore[attr-defined,no-any-return]


def answers(bank: ReasoningBank) -> object:
    found = bank.search(QUERY, count=20)
    advice = bank.recommend("fetch", {"query": QUERY}, ["mirror"], 9 * DAY_S)
    return found, advice.candidates, advice.evidence, bank.upkeep.audit().patterns


def expected(count: int) -> object:
    with ReasoningBank.open(":memory:", dimension=128) as bank:
        bank.record_many(tries(0, count))
        bank.note([Verdict("v", "t17", "judge", 1, DAY_S), Tombstone("agent", "a2", "", "w", 1)])
        return answers(bank)


def test_a_bank_that_is_opened_again_goes_on_from_its_snapshot(path: Path) -> None:
    with opened(path) as bank:
        assert taken_up(bank)
        assert answers(bank) == expected(COUNT)
        bank.upkeep.verify()


def test_what_came_after_the_snapshot_is_read_from_the_log(path: Path) -> None:
    with opened(path) as bank:
        bank.record_many(tries(COUNT, COUNT + 50))
        bank.note(
            [
                Item("fetch", "wait", "Wait.", "Wait a bit.", "", "", "success", ("t1",),
                     {"query": QUERY}, "me", DAY_S),
            ]
        )  # fmt: skip
    with opened(path) as bank:
        assert taken_up(bank)
        assert answers(bank) == expected(COUNT + 50)
        assert bank.items("fetch", {"query": QUERY}, DAY_S)
        bank.upkeep.verify()


def test_a_snapshot_of_another_log_is_not_used(path: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "other.db") as other:
        other.record_many(tries(0, 30))
    (tmp_path / "other.db").replace(path)
    with opened(path) as bank:
        assert not taken_up(bank)
        assert bank.upkeep.audit().patterns == 30


def test_a_snapshot_from_before_something_was_let_go_is_not_used(path: Path) -> None:
    with opened(path) as bank:
        assert bank.upkeep.retain(1_000 * DAY_S) > 0
        before = bank.recommend("fetch", {"query": QUERY}, ["mirror"], 9 * DAY_S).candidates
    with opened(path) as bank:
        after = bank.recommend("fetch", {"query": QUERY}, ["mirror"], 9 * DAY_S).candidates
        assert after == before
        bank.upkeep.verify()


@pytest.mark.parametrize("how", ["torn", "changed", "gone", "vectors gone", "empty"])
def test_a_spoilt_snapshot_costs_time_and_nothing_else(path: Path, how: str) -> None:
    folder = Path(f"{path}.derived")
    main = folder / "catalogue.bin"
    whole = main.read_bytes()
    if how == "torn":
        main.write_bytes(whole[: len(whole) // 2])
    elif how == "changed":
        main.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif how == "empty":
        main.write_bytes(b"")
    elif how == "gone":
        main.unlink()
    else:
        for one in folder.iterdir():
            if one != main:
                one.unlink()
    with opened(path) as bank:
        assert not taken_up(bank)
        assert answers(bank) == expected(COUNT)
    with opened(path) as bank:
        assert taken_up(bank)


def test_a_bank_opened_with_another_dimension_derives_its_own(path: Path) -> None:
    with ReasoningBank.open(path, dimension=256) as bank:
        assert not taken_up(bank)


def test_rebuilding_uses_the_log_alone(path: Path) -> None:
    with opened(path) as bank:
        assert taken_up(bank)
        assert bank.upkeep.rebuild().records == COUNT + 2
        assert not taken_up(bank)
        assert bank.upkeep.snapshot()
        assert taken_up(bank)


def test_a_small_bank_and_one_in_memory_keep_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "small.db") as bank:
        bank.record_many(tries(0, 50))
        assert bank.search(QUERY) and not bank.upkeep.snapshot()
    assert not (tmp_path / "small.db.derived").exists()
    with ReasoningBank.open(":memory:", dimension=128) as bank:
        assert not bank.upkeep.snapshot()


def test_a_bank_with_a_space_also_knows_its_cells_after_a_snapshot(tmp_path: Path) -> None:
    calm = {"trend": 2.0, "volatility": 0.1}
    with ReasoningBank.open(tmp_path / "bank.db", space=SPACE, dimension=128) as bank:
        bank.record_many(tries(0, COUNT))
        bank.record_many(trajectory(f"c{at}", context=calm) for at in range(5))
        before = bank.recommend("fetch", calm, ["mirror"], 9 * DAY_S)
        bank.search(QUERY)
    with ReasoningBank.open(tmp_path / "bank.db", dimension=128) as bank:
        assert taken_up(bank)
        assert bank.recommend("fetch", calm, ["mirror"], 9 * DAY_S) == before
        assert bank.approaches("fetch") == ["mirror"]
