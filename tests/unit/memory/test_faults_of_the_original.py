"""The earlier system's ten faults, each ruled out by a test.

They were measured in that system's packages; what each was is said where it is ruled out.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.judging.outcome import judge
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.annotations import Verdict
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state.search import diverse
from swarm_runtime.memory.vectors.embedding import Embedder
from tests.experiences import DAY_S, trajectory

LATER = 100 * DAY_S


def told(bank: ReasoningBank, query: str, approach: str, good: bool, count: int = 4) -> None:
    """Record some tries of an approach at a task, all with the same end."""
    bank.record_many(
        trajectory(
            f"{query}/{approach}/{at}",
            context={"query": query},
            approach=approach,
            excess=1.0 if good else -1.0,
            verdict=1 if good else -1,
            known_at_s=at * DAY_S,
        )
        for at in range(count)
    )


def test_1_retrieving_compares_what_is_asked_with_what_is_known() -> None:
    """Its "retrieve" fetched candidates, and compared nothing."""
    with ReasoningBank.open(":memory:") as bank:
        told(bank, "scrape the product table", "a", good=True)
        told(bank, "migrate the user database", "a", good=True)
        for query in ("scrape a table of products", "migrate a database of users"):
            (first,) = bank.search(query, count=1)
            assert first.pattern.context["query"].split()[0] == query.split()[0]


def test_2_neither_side_of_the_comparison_is_written_beforehand() -> None:
    """Its baseline was made to fail, and its learner to succeed: "67 % against 0 %"."""
    random = np.random.default_rng(5)

    def share_right(memory: bool, signal: bool) -> float:
        with ReasoningBank.open(":memory:", dimension=128) as bank:
            right = 0
            for at in range(300):
                site = f"site {random.integers(4)}"
                works = f"p{int(site[-1]) % 2}" if signal else f"p{random.integers(2)}"
                draws = (float(random.random()), float(random.random()))
                advice = bank.recommend("fetch", {"site": site}, ["p0", "p1"], at, draws=draws)
                taken = advice.approach if memory else f"p{int(draws[0] * 2)}"
                assert taken is not None
                right += taken == works
                excess = 1.0 if taken == works else -1.0
                bank.record(
                    Trajectory(
                        id=f"t{at}", agent="me", task_type="fetch", approach=taken,
                        context={"site": site}, known_at_s=at, excess=excess, verdict=int(excess),
                    )
                )  # fmt: skip
            return right / 300

    assert 0.4 < share_right(memory=False, signal=True) < 0.6
    assert share_right(memory=True, signal=True) > 0.85
    assert 0.4 < share_right(memory=True, signal=False) < 0.6


def test_3_confidence_follows_outcomes_at_the_learning_rate() -> None:
    """Its confidence never changed; the learning rate was never read."""
    found: list[list[float]] = []
    for rate in (0.1, 0.5):
        settings = MemorySettings(learning_rate=rate)
        with ReasoningBank.open(":memory:", dimension=128, settings=settings) as bank:
            course: list[float] = []
            for at in range(6):
                bank.record(trajectory(f"t{at}", verdict=1 if at < 3 else -1, excess=0.0))
                course.append(bank.patterns()[0].confidence.success)
            found.append(course)
    slow, fast = found
    assert slow[0] == fast[0] == pytest.approx(2 / 3)
    assert slow[1] == pytest.approx(0.9 * slow[0] + 0.1 * 3 / 4)
    assert fast[1] == pytest.approx(0.5 * fast[0] + 0.5 * 3 / 4)
    assert fast[5] < slow[5] < slow[2]


def test_4_the_judge_without_a_key_measures_and_the_distiller_writes_something_down() -> None:
    """Its judge matched words ("0 errors" was a failure), its distiller stored nothing."""
    net = np.array([[0.05, -0.05, 0.0]])
    found = judge(net, np.zeros(1), np.full(1, 0.01), 21)
    assert found.verdict.tolist() == [[1, -1, 0]]
    assert found.excess[0, 0] == round(0.05 / (0.01 * 21**0.5) * REWARD_SCALE)
    with ReasoningBank.open(":memory:") as bank:
        for at, (end, last) in enumerate(
            [(1, "finished with 0 errors"), (1, "finished"), (-1, "stopped half-way")]
        ):
            bank.record(
                trajectory(
                    f"t{at}",
                    task="orders",
                    approach="page by page" if end > 0 else "all at once",
                    context={"query": "export the orders of the shop"},
                    steps=(
                        ("ask for one page", "wait between pages", last)
                        if end > 0
                        else ("ask for all pages together", "the server refuses", last)
                    ),
                    verdict=end,
                    excess=float(end),
                )
            )
        distilled = bank.insight.distil(["t0", "t1", "t2"], agent="me", now_s=LATER)
        assert distilled.items, distilled.why_not
        assert bank.items("fetch", {"query": "export orders of a shop"}, LATER)


def test_5_a_word_and_its_plural_are_near() -> None:
    """Its embedding hashed whole words: "breakout" and "breakouts" had a cosine of 0.0003."""
    embedder = Embedder()
    one, other, far = (
        embedder.embed({"query": word}) for word in ("breakout", "breakouts", "invoice")
    )
    assert one @ other > 0.4 > 0.1 > abs(float(one @ far))


def test_6_the_weight_of_relevance_is_not_turned_round() -> None:
    """Its λ was inverted: more weight on relevance gave less of it."""
    relevance = np.array([0.9, 0.85, 0.2])
    between = np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert diverse(relevance, between, 2, 1.0) == [0, 1]
    assert diverse(relevance, between, 2, 0.2) == [0, 2]


def test_7_what_is_updated_is_still_found() -> None:
    """Its update deleted the embedding of what it replaced: never to be found again."""
    with ReasoningBank.open(":memory:") as bank:
        told(bank, "scrape the product table", "a", good=True)
        (before,) = bank.search("scrape a product table")
        told(bank, "scrape the product table", "b", good=False)
        bank.record(
            trajectory("again", context={"query": "scrape the product table"}, approach="a")
        )
        bank.note([Verdict("v", "again", "judge", -1, LATER)])
        found = {one.pattern.id: one for one in bank.search("scrape a product table")}
        assert found[before.pattern.id].pattern.outcomes == before.pattern.outcomes + 1
        assert found[before.pattern.id].similarity == before.similarity


def test_8_patterns_of_unlike_tasks_do_not_contradict_each_other() -> None:
    """Its vectors were read wrongly, so unrelated patterns all "contradicted" each other."""
    with ReasoningBank.open(":memory:") as bank:
        shop = "scrape the product table of the large web shop on the first day of each month"
        told(bank, shop, "a", good=True, count=12)
        told(bank, "migrate the user database", "a", good=False, count=12)
        assert bank.insight.links() == []
        told(bank, shop.replace("table", "tables"), "a", good=False, count=12)
        (link,) = bank.insight.links()
        assert link.relation == "contradicts"


def test_9_tries_at_the_same_time_do_not_overwrite_each_other(tmp_path: Path) -> None:
    """Its "parallel" tries ran one after another, and overwrote each other's trajectory."""
    path = tmp_path / "bank.db"
    ReasoningBank.open(path).close()
    both_are_open = threading.Barrier(2)

    def record(agent: str) -> None:
        with ReasoningBank.open(path) as bank:
            both_are_open.wait(timeout=30)
            for at in range(20):
                bank.record(trajectory(f"{agent}/{at}", agent=agent, task="the same"))

    threads = [threading.Thread(target=record, args=(agent,)) for agent in ("a", "b")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with ReasoningBank.open(path) as bank:
        assert bank.upkeep.verify().records == 40
        assert bank.upkeep.audit().outcomes_by_agent == {"a": 20, "b": 20}


def test_10_what_one_bank_learns_reaches_another() -> None:
    """Its "neural bus" was a stub, and its topologies only wrote to the log."""
    with (
        ReasoningBank.open(":memory:", dimension=128) as one,
        ReasoningBank.open(":memory:", dimension=128) as other,
    ):
        told(one, "scrape the product table", "a", good=True, count=6)
        asked = ("fetch", {"query": "scrape the product table"}, ["a"], LATER)
        assert other.recommend(*asked).approach is None
        one.exchange.bring(other.exchange)
        assert other.recommend(*asked).approach == "a"
        assert other.recommend(*asked) == one.recommend(*asked)
