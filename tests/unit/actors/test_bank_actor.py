"""The bank's actor as the plain class that it is: what is acknowledged, answered and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.reasoning_bank import BankActor, Question
from swarm_runtime.config import MemorySettings, UpkeepSettings
from swarm_runtime.errors import ConfigError, StoreError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.backups import backups_in
from swarm_runtime.memory.log.group_store import Batch
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.state.snapshots import LEAST_PLACES
from swarm_runtime.memory.travel.anti_entropy import reconcile
from swarm_runtime.memory.travel.replica import Replica
from tests.annotations import item, tombstone, verdict
from tests.experiences import SPACE, experience, trajectory

HOUR_S = 3_600.0
#: Later than all that tests record.
NOW_S = 10**6
DIMENSION = 128

Make = Callable[..., BankActor]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.sqlite"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Make actors of one file, without a thread that looks for upkeep; all are closed."""
    made: list[BankActor] = []

    def make(settings: MemorySettings | None = None, **more: Any) -> BankActor:
        given = {"space": SPACE, "look_every_s": 0.0, "dimension": DIMENSION, **more}
        made.append(BankActor(str(path), settings or MemorySettings(), **given))
        return made[-1]

    yield make
    for actor in made:
        actor.close()


def ask(context: dict[str, float | str] | None = None, **more: Any) -> Question:
    given = {"task_type": "fetch", "candidates": ("mirror", "origin"), "as_of": NOW_S, **more}
    return Question(context=context or {"site": "example.org"}, **given)


def outcomes_of(actor: BankActor, approach: str = "mirror") -> float:
    """Return how many outcomes an answer rests on."""
    (found,) = (one for one in actor.recommend(ask()).candidates if one.approach == approach)
    return found.outcomes


# --- recording and asking --------------------------------------------------------------------


def test_it_answers_as_a_bank_on_the_same_records_does(make: Make, path: Path) -> None:
    actor = make()
    tries = [trajectory(f"t{at}", excess=1.0 + at % 2) for at in range(6)]
    assert actor.record_many(tries) == 6
    assert actor.record_all([experience("a", 1).seal()]) == 1
    assert actor.note([verdict(trajectory="t1", verdict=-1), item()]) == 2
    questions = [ask(), ask({"site": "elsewhere"}, explain=False), ask(draws=(0.3, 0.01))]
    answers = actor.recommend_many(questions)
    with ReasoningBank.open(path, space=SPACE, dimension=DIMENSION) as bank:
        for question, answer in zip(questions, answers, strict=True):
            assert answer == bank.recommend(
                "fetch",
                question.context,
                ["mirror", "origin"],
                NOW_S,
                draws=question.draws,
                explain=question.explain,
            )
        assert actor.search({"site": "example.org"}) == bank.search({"site": "example.org"})
        assert actor.items("fetch", {"site": "example.org"}, NOW_S) == bank.items(
            "fetch", {"site": "example.org"}, NOW_S
        )
        assert actor.patterns("fetch") == bank.patterns("fetch")
        (pattern,) = bank.patterns("fetch")
        assert actor.explain(pattern.id) == bank.explain(pattern.id)
        assert actor.judgements(most=3) == bank.insight.judgements(most=3)
        assert [one.agent for one in actor.lessons({"a": 1})] == ["a"]
        assert actor.audit(NOW_S).counts == actor.counts()
        assert actor.view() == bank.view() == {"a": 1}
        assert actor.approaches("fetch") == ["mirror"]


def test_whoever_is_acknowledged_finds_what_he_recorded(make: Make) -> None:
    actor = make()
    for count in range(1, 51):
        actor.record_many([trajectory(f"t{count}")])
        assert outcomes_of(actor) == pytest.approx(count)


def test_of_many_callers_each_finds_what_he_recorded(make: Make) -> None:
    actor = make()
    wrong: list[str] = []

    def call(name: str) -> None:
        for count in range(1, 16):
            actor.record_many([trajectory(f"{name}/{count}", task_type=name)])
            question = ask(task_type=name)
            found = actor.recommend(question).candidates[0].outcomes
            if found != pytest.approx(count):
                wrong.append(f"{name}: {found} of {count}")

    callers = [threading.Thread(target=call, args=(f"caller{at}",)) for at in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
    assert actor.counts()["trajectories"] == 90


def test_recording_again_changes_nothing(make: Make) -> None:
    actor = make()
    batch = Batch(
        [experience("a", 1).seal()], [trajectory("t1"), trajectory("t2")], [verdict(), item()]
    )
    assert actor.record(batch) == 5
    assert actor.record(batch) == 0
    first = actor.revoke("agent", "liar", agent="me", now_s=NOW_S)
    assert actor.revoke("agent", "liar", agent="me", now_s=NOW_S) == first
    assert actor.counts() == {
        **dict.fromkeys(actor.counts(), 0),
        **{"experiences": 1, "trajectories": 2, "verdict": 1, "item": 1, "tombstone": 1},
    }


def test_what_is_revoked_is_in_no_answer_from_then_on(make: Make) -> None:
    actor = make()
    actor.record_many([trajectory(f"t{at}", agent="liar") for at in range(4)])
    assert actor.recommend(ask()).recommended == "mirror"
    actor.revoke("agent", "liar", agent="me", now_s=NOW_S)
    assert outcomes_of(actor) == 0.0
    assert actor.search({"site": "example.org"}) == []


def test_an_experience_that_lies_outside_of_the_space_is_refused(make: Make) -> None:
    actor = make()
    with pytest.raises(ValueError, match="cell 9 in a space of 9 cells"):
        actor.record_all([experience(cells=[9]).seal()])
    assert actor.counts()["experiences"] == 0


def test_a_bank_without_a_space_takes_no_experiences(make: Make) -> None:
    actor = make(space=None)
    with pytest.raises(ConfigError, match="need a bank with a space"):
        actor.record_all([experience().seal()])


def test_a_question_that_cant_be_asked_is_named(make: Make) -> None:
    actor = make()
    with pytest.raises(ValueError, match=r"question 1 of 2: candidates = \(\)|question 1 of 2"):
        actor.recommend_many([ask(), ask(candidates=())])


def test_answers_dont_wait_for_the_disk(make: Make, path: Path) -> None:
    actor = make()
    actor.record_many([trajectory("t1")])
    assert outcomes_of(actor) == pytest.approx(1.0)
    # As if a commit hung in the disk: another process holds the file for writing.
    other = SqliteStore(path)
    with other._file.transaction():
        hanging = actor._commits.submit(Batch(trajectories=[trajectory("t2")]))
        assert outcomes_of(actor) == pytest.approx(1.0)
        assert actor.counts()["trajectories"] == 1
        assert not hanging.done()
    assert hanging.result(20) == 1
    assert outcomes_of(actor) == pytest.approx(2.0)
    other.close()


def test_what_another_process_records_is_found_too(make: Make, path: Path) -> None:
    actor = make()
    actor.record_many([trajectory("t1")])
    assert outcomes_of(actor) == pytest.approx(1.0)
    with ReasoningBank.open(path) as bank:
        bank.record(trajectory("t2"))
    assert outcomes_of(actor) == pytest.approx(2.0)


# --- opening and closing ---------------------------------------------------------------------


def test_it_goes_on_where_it_was_closed(make: Make) -> None:
    first = make()
    first.record_many([trajectory(f"t{at}") for at in range(5)])
    before = first.recommend(ask())
    first.close()
    again = make()
    assert again.recommend(ask()) == before
    assert again.record_many([trajectory("t4"), trajectory("t5")]) == 1


def test_a_file_that_is_no_bank_is_refused_at_once_and_no_thread_stays(
    make: Make, path: Path
) -> None:
    path.write_text("something else")
    with pytest.raises(StoreError, match="is no SQLite file"):
        make()
    assert bank_threads() == []


def test_a_bank_of_another_space_is_refused(make: Make) -> None:
    make(space=None).close()
    make().close()
    from swarm_runtime.machines.context import market_space

    with pytest.raises(ConfigError, match="another context space"):
        make(space=market_space())
    assert bank_threads() == []


def test_a_bank_in_memory_cant_be_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a file"):
        BankActor(":memory:", MemorySettings())


def test_once_closed_it_leaves_no_thread_and_says_that_it_is_closed(make: Make) -> None:
    actor = make(look_every_s=30.0)
    actor.record_many([trajectory()])
    actor.recommend(ask())
    assert len(bank_threads()) == 5
    actor.close()
    actor.close()
    assert bank_threads() == []
    with pytest.raises(StoreError, match="is closed"):
        actor.record_many([trajectory()])
    with pytest.raises(StoreError, match="is closed"):
        actor.recommend(ask())


def bank_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("bank-")]


def test_nothing_is_derived_until_somebody_asks(make: Make) -> None:
    actor = make()
    actor.record_many([trajectory()])
    assert not actor.service().is_warm
    assert actor.ready() == actor.pid()
    assert actor.service().is_warm


def test_a_large_bank_need_not_be_derived_anew_after_a_kill(make: Make, path: Path) -> None:
    first = make(upkeep(backup_every_s=0), clock=lambda: 0.0)
    first.record_many(
        [trajectory(f"t{at}", context={"site": f"s{at}"}) for at in range(LEAST_PLACES)]
    )
    assert first.keep(HOUR_S) == []  # nobody has asked, so nothing was derived
    first.ready()
    first.record_many([trajectory("more", context={"site": "s7"})])
    assert first.keep(2 * HOUR_S) == ["snapshot"]
    assert first.keep(3 * HOUR_S) == []  # nothing is new
    first.record_many([trajectory("tail", context={"site": "s7"})])
    answer = first.recommend(ask({"site": "s7"}))
    # As if it had been killed: another one begins with what lies there.
    second = make(upkeep(backup_every_s=0), clock=lambda: 0.0)
    assert second.recommend(ask({"site": "s7"})) == answer
    assert answer.candidates[0].outcomes == pytest.approx(3.0, abs=0.5)
    assert path.with_name(f"{path.name}.derived").is_dir()


# --- replicas --------------------------------------------------------------------------------


def test_a_replica_fetches_and_offers_what_is_lacking(make: Make) -> None:
    actor = make()
    actor.record(Batch([experience("a", 1).seal()], [trajectory("t1")], [item()]))
    store = SqliteStore(":memory:")
    store.record_all((), [trajectory("t2")], [tombstone()])
    exchanged = reconcile(Replica(store), actor.exchange)
    assert (exchanged.received, exchanged.sent, exchanged.refused) == (3, 2, ())
    expected = {"experiences": 1, "trajectories": 2, "item": 1, "tombstone": 1}
    for counts in (actor.counts(), store.counts()):
        assert {name: count for name, count in counts.items() if count} == expected
    assert outcomes_of(actor) == pytest.approx(2.0)
    assert actor.service().commits.records == 5
    store.close()


# --- upkeep ----------------------------------------------------------------------------------


def upkeep(**more: Any) -> MemorySettings:
    return MemorySettings(upkeep=UpkeepSettings(**more))


def backups(path: Path) -> list[Path]:
    return backups_in(path.with_name(f"{path.name}.backups"), path.name)


def test_a_backup_is_made_when_it_is_due_and_something_has_changed(make: Make, path: Path) -> None:
    actor = make(upkeep(backups_kept=2), clock=lambda: 0.0)
    assert actor.keep(HOUR_S) == []  # there is nothing to be lost yet
    actor.record_many([trajectory("t1")])
    assert actor.keep(1.5 * HOUR_S) == []
    assert actor.keep(2.0 * HOUR_S) == ["backup"]
    assert actor.keep(3.0 * HOUR_S) == []  # nothing has changed
    for at in range(3):
        actor.record_many([trajectory(f"more{at}")])
        assert actor.keep((4.0 + at) * HOUR_S) == ["backup"]
    kept = backups(path)
    assert len(kept) == 2
    store = SqliteStore(kept[-1])
    assert store.verify() == 4
    store.close()


def test_who_is_restarted_often_makes_no_more_backups_than_others(make: Make, path: Path) -> None:
    first = make(upkeep(), clock=lambda: 0.0)
    first.record_many([trajectory("t1")])
    assert first.keep(HOUR_S) == ["backup"]
    first.close()
    made_s = backups(path)[-1].stat().st_mtime
    again = make(upkeep(), clock=lambda: made_s + 0.5 * HOUR_S)
    again.record_many([trajectory("t2")])
    assert again.keep(made_s + 0.9 * HOUR_S) == []
    assert again.keep(made_s + HOUR_S) == ["backup"]


def test_no_backup_is_made_where_none_is_wanted(make: Make, path: Path) -> None:
    actor = make(upkeep(backup_every_s=0), clock=lambda: 0.0)
    actor.record_many([trajectory("t1")])
    assert actor.keep(1e9) == []
    assert not path.with_name(f"{path.name}.backups").exists()


def test_a_backup_that_fails_is_tried_again_and_stops_nobody(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    actor = make(upkeep(), clock=lambda: 0.0)
    actor.record_many([trajectory("t1")])
    place = path.with_name(f"{path.name}.backups")
    place.write_text("in the way")
    assert actor.keep(HOUR_S) == []
    assert "backup of" in caplog.text and "failed" in caplog.text
    assert actor.record_many([trajectory("t2")]) == 1
    place.unlink()
    assert actor.keep(HOUR_S + 60.0) == ["backup"]


class Clock:
    """Goes on by half an hour whenever somebody looks at it."""

    def __init__(self) -> None:
        self._looks = 0
        self._looked = threading.Condition()

    def __call__(self) -> float:
        with self._looked:
            self._looks += 1
            self._looked.notify_all()
            return self._looks * HOUR_S / 2

    def wait_for_looks(self, count: int) -> None:
        with self._looked:
            wanted = self._looks + count
            assert self._looked.wait_for(lambda: self._looks >= wanted, timeout=20)


def test_upkeep_is_done_without_being_asked_for(make: Make, path: Path) -> None:
    clock = Clock()
    actor = make(upkeep(), clock=clock, look_every_s=0.001)
    actor.record_many([trajectory("t1")])
    clock.wait_for_looks(5)  # what was due at the fourth is done
    actor.close()
    assert len(backups(path)) == 1


def test_a_bank_that_is_kept_small_by_itself_stays_within_its_bound(make: Make) -> None:
    actor = make(upkeep(automatic=True, most_patterns=20, backup_every_s=0), clock=lambda: 0.0)
    for round_ in range(5):
        tries = [
            trajectory(f"{round_}/{at}", context={"site": f"s{round_}/{at}"}, known_at_s=round_)
            for at in range(10)
        ]
        actor.record_many(tries)
        actor.keep(60.0 * (round_ + 1))
        assert len(actor.patterns()) <= 20
    assert actor.recommend(ask({"site": "s4/9"})).candidates[0].outcomes > 0.0


def test_a_bank_is_not_pruned_unless_somebody_says_so(make: Make) -> None:
    actor = make(upkeep(most_patterns=5), clock=lambda: 0.0)
    actor.record_many([trajectory(f"t{at}", context={"site": f"s{at}"}) for at in range(30)])
    actor.keep(1e9)
    assert len(actor.patterns()) == 30


def test_a_backup_is_made_where_it_is_wanted(make: Make, path: Path) -> None:
    actor = make()
    actor.record_many([trajectory("t1")])
    actor.backup(str(path.with_name("copy")))
    store = SqliteStore(path.with_name("copy"))
    assert store.verify() == 1
    store.close()
