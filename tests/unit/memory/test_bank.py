"""The ReasoningBank: learns, says why, keeps quiet when it knows nothing, never knows tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.errors import ConfigError, StoreError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.choice.policies import POLICIES
from swarm_runtime.memory.choice.ranking import Reason, Statistics, recency_table
from swarm_runtime.memory.choice.recommendation import Recommendation
from swarm_runtime.memory.choice.safla import adapt, apply, learn
from swarm_runtime.memory.records.pattern import ContextSpace, FeatureBins
from swarm_runtime.memory.records.trajectory import Context, Trajectory
from swarm_runtime.memory.vectors.embedding import cell_similarity
from tests.experiences import DAY_S, SPACE, experience, histories, random_experience, trajectory

CANDIDATES = ["p0", "p1", "p2"]
LATER = 100 * DAY_S
CALM: Context = {"trend": 2.0, "volatility": 0.1}  # cell 6


@pytest.fixture
def bank() -> Iterator[ReasoningBank]:
    with ReasoningBank.open(":memory:", space=SPACE) as opened:
        yield opened


def fetches(count: int, *, good: str = "mirror", **more: object) -> list[Trajectory]:
    """Tries of two approaches in turn, of which one succeeds."""
    return [
        trajectory(
            f"{good}{at}",
            approach=approach,
            excess=1.0 if approach == good else -1.0,
            verdict=1 if approach == good else -1,
            known_at_s=(at + 1) * DAY_S,
            **more,
        )
        for at, approach in enumerate(["mirror", "origin"] * count)
    ]


def recorded(bank: ReasoningBank, tries: list[Trajectory]) -> None:
    for one in tries:
        bank.record(one)


# --- a task of any kind ----------------------------------------------------------------------


def test_an_empty_bank_abstains_and_says_so() -> None:
    with ReasoningBank.open(":memory:") as bank:
        found = bank.recommend("fetch", {"site": "example.org"}, ["mirror", "origin"], LATER)
    assert found.approach is None
    assert found.reason == Reason.ABSTAINED
    assert "nothing is known" in found.why
    assert found.evidence == ()


def test_what_worked_is_recommended_with_its_evidence(bank: ReasoningBank) -> None:
    recorded(bank, fetches(8))
    found = bank.recommend("fetch", {"site": "example.org"}, ["origin", "mirror"], LATER)
    assert (found.approach, found.recommended, found.reason) == ("mirror", "mirror", Reason.APPLIED)
    assert "'mirror' earned +1.00 σ a try" in found.why
    (evidence,) = found.evidence
    assert (evidence.trials, evidence.successes, evidence.failures) == (8, 8, 0)
    assert evidence.agents == ("me",)
    assert evidence.context == {"site": "example.org"}
    assert evidence.pattern_id in {one.id for one in bank.patterns()}
    origin, mirror = found.candidates
    assert (origin.mean, mirror.mean) == (-1.0, 1.0)
    assert found.confidence == mirror.confidence.value


def test_a_reworded_context_finds_what_an_equal_one_would(bank: ReasoningBank) -> None:
    recorded(bank, fetches(16, context={"task": "scrape the product table of a shop"}))
    near = bank.recommend("fetch", {"task": "Scrape product tables of shops"}, ["mirror"], LATER)
    far = bank.recommend("fetch", {"task": "migrate a database schema"}, ["mirror"], LATER)
    assert near.approach == "mirror"
    assert 0.0 < near.evidence[0].similarity < 1.0
    assert far.approach is None and far.evidence == ()


def test_near_numbers_find_each_other_and_far_ones_do_not(bank: ReasoningBank) -> None:
    recorded(bank, fetches(12, context={"megabytes": 100.0}))
    assert bank.recommend("fetch", {"megabytes": 130.0}, ["mirror"], LATER).approach == "mirror"
    assert bank.recommend("fetch", {"megabytes": 5.0}, ["mirror"], LATER).approach is None


def test_different_contexts_keep_their_own_lessons(bank: ReasoningBank) -> None:
    recorded(bank, fetches(8, good="mirror", context={"site": "shop"}))
    recorded(bank, fetches(8, good="origin", context={"site": "news archive"}))
    both = ["mirror", "origin"]
    assert bank.recommend("fetch", {"site": "shop"}, both, LATER).approach == "mirror"
    assert bank.recommend("fetch", {"site": "news archive"}, both, LATER).approach == "origin"


def test_task_types_and_domains_are_kept_apart(bank: ReasoningBank) -> None:
    recorded(bank, fetches(8, domain="web"))
    asked = ({"site": "example.org"}, ["mirror"], LATER)
    assert bank.recommend("fetch", *asked).approach == "mirror"
    assert bank.recommend("fetch", *asked, domain="web").approach == "mirror"
    assert bank.recommend("fetch", *asked, domain="files").approach is None
    assert bank.recommend("migrate", *asked).approach is None


def test_a_context_about_other_candidates_takes_nobodys_place(bank: ReasoningBank) -> None:
    tries = [
        trajectory(f"x{at}", approach="other", context={"task": f"scrape page {at}"})
        for at in range(80)
    ]
    recorded(bank, tries + fetches(8, context={"task": "scrape the pages"}))
    found = bank.recommend("fetch", {"task": "scrape page 7"}, ["mirror"], LATER)
    assert found.evidence and found.evidence[0].context == {"task": "scrape the pages"}


def test_a_context_of_tomorrow_takes_nobodys_place(bank: ReasoningBank) -> None:
    tries = [
        trajectory(
            f"x{at}", approach="mirror", context={"task": f"scrape page {at}"}, known_at_s=LATER + 1
        )
        for at in range(80)
    ]
    recorded(bank, tries + fetches(8, context={"task": "scrape the pages"}))
    (found,) = bank.recommend("fetch", {"task": "scrape page 7"}, ["mirror"], LATER).evidence
    assert found.context == {"task": "scrape the pages"}


def test_too_few_lucky_tries_do_not_hide_what_is_known_to_work(bank: ReasoningBank) -> None:
    lucky = [trajectory(f"lucky{at}", approach="lucky", excess=8.0) for at in range(2)]
    recorded(bank, lucky + fetches(8))
    found = bank.recommend("fetch", {"site": "example.org"}, ["lucky", "mirror"], LATER)
    assert found.candidates[0].lower_bound > found.candidates[1].lower_bound > 0.0
    assert (found.approach, found.recommended) == ("mirror", "mirror")
    assert found.evidence[0].approach == "mirror"
    alone = bank.recommend("fetch", {"site": "example.org"}, ["lucky"], LATER)
    assert "3 outcomes are needed" in alone.why


def test_a_failing_approach_is_not_recommended_and_the_gate_is_named(bank: ReasoningBank) -> None:
    recorded(bank, fetches(8))
    found = bank.recommend("fetch", {"site": "example.org"}, ["origin"], LATER)
    assert found.approach is None
    assert "its lower bound is not above 0" in found.why
    assert found.evidence[0].failures == 8


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_with_draws_the_answer_always_names_an_approach(policy: str) -> None:
    asked = ("fetch", {"site": "example.org"}, ["origin", "mirror"], LATER)
    settings = MemorySettings(policy=policy)
    with ReasoningBank.open(":memory:", settings=settings, dimension=128) as bank:
        for at in range(20):
            empty = bank.recommend(*asked, draws=(at / 20, 0.9))
            assert empty.approach in ("origin", "mirror") and empty.recommended is None
            assert empty.propensity > 0.0
        recorded(bank, fetches(8))
        assert bank.recommend(*asked, draws=(0.1, 0.9)).approach == "mirror"


def test_some_recommendations_are_withheld_at_random_to_learn_their_worth(
    bank: ReasoningBank,
) -> None:
    asked = ("fetch", {"site": "example.org"}, ["origin", "mirror"], LATER)
    recorded(bank, fetches(8))
    applied = bank.recommend(*asked, draws=(0.1, 0.9))
    assert (applied.approach, applied.reason) == ("mirror", Reason.APPLIED)
    withheld = bank.recommend(*asked, draws=(0.1, 0.01))
    assert (withheld.approach, withheld.recommended) == ("origin", "mirror")
    assert withheld.reason == Reason.WITHHELD
    assert "withheld at random" in withheld.why
    assert applied.propensity + withheld.propensity == pytest.approx(1.0)


@pytest.mark.parametrize("candidates", [[], ["a", "a"]])
def test_candidates_that_make_no_sense_are_refused(
    bank: ReasoningBank, candidates: list[str]
) -> None:
    with pytest.raises(ValueError, match="candidates"):
        bank.recommend("fetch", {}, candidates, LATER)


def test_coin_flips_are_rarely_applied_and_a_planted_good_one_is() -> None:
    random = np.random.default_rng(5)
    memory = MemorySettings(bound_z=3.0)
    names = ["a", "b", "c", "good"]
    applied = dict.fromkeys(names, 0)
    with ReasoningBank.open(":memory:", settings=memory, dimension=128) as bank:
        for place in range(40):
            for at in range(60):
                name = names[at % 4]
                excess = float(random.normal(0.9 if name == "good" and place % 2 else 0.0))
                bank.record(
                    trajectory(
                        f"{place}-{at}",
                        approach=name,
                        task_type=f"task {place}",
                        excess=excess,
                        verdict=1 if excess > 0 else -1,
                    )
                )
            found = bank.recommend(f"task {place}", {"site": "example.org"}, names, LATER)
            if found.approach:
                applied[found.approach] += 1
    assert applied["good"] >= 12
    assert applied["a"] + applied["b"] + applied["c"] <= 2


# --- bank and agent say the same -------------------------------------------------------------


def replica_says(
    experiences: list[Experience], cell: int, now_s: int, memory: MemorySettings
) -> tuple[list[bytes], int, int, float]:
    """What an agent of three candidates says that all these experiences have reached."""
    statistics = Statistics(SPACE.cell_count, 3)
    learn(statistics, experiences, as_of_s=now_s, shadow_teaches=memory.shadow_teaches)
    # The agent asks about all of its subjects at once.
    cells = np.array([cell, 0, 3, cell], dtype=np.int32)
    found = adapt(
        statistics, cells, cell_similarity(SPACE), recency_table(memory.half_life_days), now_s
    )
    choice = apply(found, memory, np.ones(4, dtype=bool), np.full(4, 0.4), np.full(4, 0.5))
    parts = ("outcomes", "mean", "standard_error", "success", "usage", "recency", "similarity")
    bits = [getattr(found, part)[0].tobytes() for part in (*parts, "confidence")]
    bits.append(found.lower_bound(memory.bound_z)[0].tobytes())
    return bits, int(choice.chosen[0]), int(choice.reason[0]), float(choice.propensity[0])


def bank_says(found: Recommendation) -> tuple[list[bytes], int, int, float]:
    rows = [
        [getattr(one, part) for one in found.candidates]
        for part in ("outcomes", "mean", "standard_error")
    ]
    rows += [
        [getattr(one.confidence, part) for one in found.candidates]
        for part in ("success", "usage", "recency", "similarity", "value")
    ]
    rows.append([one.lower_bound for one in found.candidates])
    chosen = CANDIDATES.index(found.approach or "")
    return [np.array(row).tobytes() for row in rows], chosen, int(found.reason), found.propensity


@settings(deadline=None, max_examples=40)
@given(histories(), st.integers(0, 8), st.integers(0, 5), st.booleans())
def test_bank_and_agent_say_the_same_bit_by_bit(
    found: list[Experience], cell: int, day: int, shadow_teaches: bool
) -> None:
    memory = MemorySettings(shadow_teaches=shadow_teaches, bound_z=0.2, minimum_usage=1)
    trend, volatility = ((-2.0, 0.0, 2.0)[cell // 3], (0.1, 1.0, 2.0)[cell % 3])
    with ReasoningBank.open(":memory:", space=SPACE, settings=memory) as bank:
        bank.record_all(found)
        said = bank.recommend(
            "trade",
            {"trend": trend, "volatility": volatility},
            CANDIDATES,
            day * DAY_S,
            draws=(0.4, 0.5),
        )
        assert bank_says(said) == replica_says(found, cell, day * DAY_S, memory)


def test_candidates_may_come_in_any_order_and_number(bank: ReasoningBank) -> None:
    bank.record_all([random_experience(seed, epoch=seed + 1) for seed in range(20)])
    whole = bank.recommend("trade", CALM, CANDIDATES, LATER).candidates
    part = bank.recommend("trade", CALM, ["p2", "unknown", "p0"], LATER).candidates
    assert (part[0], part[2]) == (whole[2], whole[0])
    assert part[1].outcomes == 0.0


def test_agents_of_other_candidate_sets_teach_what_they_share(bank: ReasoningBank) -> None:
    bank.record_all(
        [
            experience("a", cells=[6], excess=[[1.0, 0.0]], approaches=["p0", "p1"]),
            experience("b", cells=[6], excess=[[0.0, 0.5]], approaches=["p2", "p0"]),
        ]
    )
    (found,) = bank.recommend("trade", CALM, ["p0"], LATER).candidates
    assert (found.outcomes, found.mean) == (2.0, 0.75)


def test_a_single_try_in_the_space_teaches_its_cell(bank: ReasoningBank) -> None:
    bank.record(trajectory(task_type="trade", approach="p0", context=CALM, domain="market"))
    bank.record_all([experience(cells=[6], excess=[[2.0, 0.0]])])
    found = bank.recommend("trade", CALM, ["p0"], LATER)
    assert (found.candidates[0].outcomes, found.candidates[0].mean) == (2.0, 1.5)
    (evidence,) = found.evidence
    assert (evidence.trials, evidence.agents) == (2, ("a", "me"))


def test_evidence_names_cells_agents_and_counts(bank: ReasoningBank) -> None:
    bank.record_all([experience("a", cells=[6])])
    bank.record_all([experience("b", cells=[6], excess=[[-0.5, 0.5]])])
    (evidence,) = bank.recommend("trade", CALM, ["p0"], LATER).evidence
    assert evidence.context == {"trend": "rising", "volatility": "calm"}
    assert (evidence.trials, evidence.successes, evidence.failures) == (2, 1, 1)
    assert (evidence.agents, evidence.similarity) == (("a", "b"), 1.0)
    assert evidence.last_known_s == DAY_S
    assert evidence.pattern_id in {one.id for one in bank.patterns()}


def test_statistics_are_those_that_an_agent_would_fold(bank: ReasoningBank) -> None:
    found = [random_experience(seed, epoch=seed + 1) for seed in range(9)]
    bank.record_all(found)
    whole = Statistics(SPACE.cell_count, 3)
    learn(whole, found, as_of_s=5 * DAY_S, shadow_teaches=True)
    said = bank.statistics("trade", as_of=5 * DAY_S)
    assert bank.approaches("trade") == CANDIDATES
    np.testing.assert_array_equal(said.counters, whole.counters)
    np.testing.assert_array_equal(said.last_known_s, whole.last_known_s)
    assert said.newest_s == whole.newest_s


# --- point in time ---------------------------------------------------------------------------


def test_what_is_known_only_tomorrow_changes_nothing_today(bank: ReasoningBank) -> None:
    recorded(bank, fetches(4))
    bank.record_all([experience(epoch=1, cells=[6])])
    web = ("fetch", {"site": "example.org"}, ["mirror", "origin"], 8 * DAY_S)
    market = ("trade", CALM, ["p0", "p1"], DAY_S)
    before = bank.recommend(*web), bank.recommend(*market), bank.patterns(as_of=8 * DAY_S)
    bank.record(trajectory("late", approach="origin", excess=8.0, known_at_s=9 * DAY_S))
    bank.record(
        trajectory(
            "new", approach="origin", excess=8.0, known_at_s=9 * DAY_S, context={"site": "x"}
        )
    )
    bank.record_all([experience(epoch=2, cells=[6], excess=[[-8.0, 8.0]], known_at_s=9 * DAY_S)])
    after = bank.recommend(*web), bank.recommend(*market), bank.patterns(as_of=8 * DAY_S)
    assert after == before
    later = bank.recommend(*web[:3], LATER), bank.recommend(*market[:3], LATER)
    assert later[0].candidates[1].mean > before[0].candidates[1].mean
    assert later[1].candidates[1].mean > before[1].candidates[1].mean


@settings(deadline=None, max_examples=10)
@given(histories(), st.permutations(range(5)))
def test_moments_may_be_asked_about_in_any_order(found: list[Experience], days: list[int]) -> None:
    with ReasoningBank.open(":memory:", space=SPACE) as whole:
        whole.record_all(found)
        for day in days:
            past = [one for one in found if one.known_at_s <= day * DAY_S]
            with ReasoningBank.open(":memory:", space=SPACE) as fresh:
                fresh.record_all(past)
                asked = ("trade", CALM, CANDIDATES, day * DAY_S)
                assert whole.recommend(*asked) == fresh.recommend(*asked)
                assert whole.patterns(as_of=day * DAY_S) == fresh.patterns(as_of=day * DAY_S)


# --- order, repetition, several handles ------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(histories(), st.data())
def test_order_and_repetition_change_nothing(found: list[Experience], data: st.DataObject) -> None:
    # 3.0 and 5.5 lie in the same cell: which comes first must not move it.
    tries = fetches(3, context={"site": "shop", "size": 3.0}) + fetches(
        2, good="origin", context={"site": "shop", "size": 5.5}
    )
    with (
        ReasoningBank.open(":memory:", space=SPACE) as plain,
        ReasoningBank.open(":memory:", space=SPACE) as mixed,
    ):
        plain.record_all(found)
        recorded(plain, tries)
        waiting = sorted(found, key=lambda one: one.epoch)
        recorded(mixed, data.draw(st.permutations(tries)))
        while waiting:
            count = data.draw(st.integers(1, len(waiting)))
            mixed.recommend("trade", CALM, CANDIDATES, data.draw(st.integers(0, 5)) * DAY_S)
            mixed.record_all(data.draw(st.permutations(waiting[:count])))
            waiting = waiting[count:]
        mixed.record_all(found)
        recorded(mixed, data.draw(st.permutations(tries)))
        assert mixed.view() == plain.view()
        assert mixed.patterns() == plain.patterns()
        for asked in (
            ("trade", CALM, CANDIDATES, 3 * DAY_S),
            ("fetch", {"site": "shop", "size": 3.0}, ["mirror", "origin"], LATER),
        ):
            assert mixed.recommend(*asked) == plain.recommend(*asked)
        sealed = [one.to_bytes() for one in plain.experiences()]
        assert [one.to_bytes() for one in mixed.experiences()] == sealed


def test_what_another_handle_records_is_known_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with ReasoningBank.open(path, space=SPACE) as first, ReasoningBank.open(path) as second:
        assert second.space == SPACE
        assert second.recommend("trade", CALM, ["p0"], LATER).evidence == ()
        first.record_all([experience(cells=[6])])
        recorded(first, fetches(8))
        assert second.recommend("trade", CALM, ["p0"], LATER).evidence[0].trials == 1
        web = ("fetch", {"site": "example.org"}, ["mirror", "origin"], LATER)
        assert second.recommend(*web) == first.recommend(*web)


def test_a_bank_that_is_opened_again_knows_what_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    asked = ("fetch", {"site": "example.org"}, ["mirror", "origin"], LATER)
    with ReasoningBank.open(path, space=SPACE) as bank:
        recorded(bank, fetches(8))
        bank.record_all([random_experience(1)])
        before = bank.recommend(*asked), bank.patterns(), bank.view()
    with ReasoningBank.open(path) as bank:
        assert (bank.recommend(*asked), bank.patterns(), bank.view()) == before


# --- patterns and explanations ---------------------------------------------------------------


def test_patterns_can_be_asked_for_by_what_they_are(bank: ReasoningBank) -> None:
    bank.record_all([experience(cells=[6])])
    recorded(bank, fetches(2))
    assert len(bank.patterns()) == 4
    assert {one.approach for one in bank.patterns("fetch")} == {"mirror", "origin"}
    assert {one.task_type for one in bank.patterns(domain="market")} == {"trade"}
    assert len(bank.patterns("fetch", approach="mirror")) == 1


def test_a_pattern_is_explained_in_words_and_by_its_outcomes(bank: ReasoningBank) -> None:
    recorded(bank, fetches(3))
    (pattern,) = bank.patterns("fetch", approach="mirror")
    found = bank.explain(pattern.id, most=2)
    assert found.pattern == pattern
    assert found.sentence == pattern.sentence()
    assert [one.source for one in found.outcomes] == ["trajectory mirror4", "trajectory mirror2"]
    early = bank.explain(pattern.id, as_of=DAY_S)
    assert [one.source for one in early.outcomes] == ["trajectory mirror0"]


def test_an_unknown_pattern_is_refused(bank: ReasoningBank) -> None:
    with pytest.raises(ConfigError, match="pattern = 'nowhere'"):
        bank.explain("nowhere")


# --- what is refused -------------------------------------------------------------------------


def test_a_bank_of_another_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    ReasoningBank.open(path, space=SPACE).close()
    other = ContextSpace((FeatureBins("trend", (0.0,), ("down", "up")),))
    with pytest.raises(ConfigError, match="another context space"):
        ReasoningBank.open(path, space=other)


def test_experiences_need_a_space() -> None:
    with ReasoningBank.open(":memory:") as bank:
        with pytest.raises(ConfigError, match="need a bank with a space"):
            bank.record_all([experience()])
        with pytest.raises(ConfigError, match="space"):
            bank.statistics("trade", as_of=LATER)


def test_a_malformed_experience_is_refused_before_it_is_recorded(bank: ReasoningBank) -> None:
    for wrong in (experience(epoch=2, cells=[9]), experience(epoch=2, known_at_s=2**60)):
        with pytest.raises(ValueError):
            bank.record_all([experience(), wrong])
    assert bank.view() == {}


def test_another_try_of_the_same_id_is_refused(bank: ReasoningBank) -> None:
    assert bank.record(trajectory()) == bank.record(trajectory()) == "t1"
    with pytest.raises(StoreError, match="'t1' is here already"):
        bank.record(trajectory(excess=2.0))
    assert bank.patterns("fetch")[0].outcomes == 1


def test_a_dimension_that_is_too_small_is_refused_and_the_file_let_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dimension"):
        ReasoningBank.open(tmp_path / "bank.db", dimension=3)
