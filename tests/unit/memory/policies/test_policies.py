"""Choice policies: what all of them promise, and what each is for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.config import MemorySettings
from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.choice.policies import (
    DEFAULT_POLICY,
    POLICIES,
    Answer,
    Belief,
    Question,
    policy_named,
)
from swarm_runtime.memory.choice.policies.blend import Blend
from swarm_runtime.memory.choice.policies.linucb import LinUcb
from swarm_runtime.memory.choice.policies.protocol import mixed
from swarm_runtime.memory.choice.policies.thompson import Thompson, chances_of_best
from swarm_runtime.memory.choice.policies.ucb import Ucb
from swarm_runtime.memory.choice.ranking import Estimates, Reason, choose

Floats = npt.NDArray[np.float64]

SETTINGS = MemorySettings(withheld_fraction=0.2)
NOTHING_WITHHELD = MemorySettings(withheld_fraction=0.0)
ALL = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


def estimates(
    outcomes: list[float], means: list[float], confidence: list[float] | None = None
) -> Estimates:
    """What a neighbourhood says, with outcomes of variance one."""
    n = np.array([outcomes])
    part = np.array([confidence]) if confidence else np.where(n > 0, 0.9, 0.2)
    return Estimates(
        outcomes=n,
        mean=np.array([means]),
        standard_error=np.sqrt(1.0 / np.maximum(n, 1e-9)),
        success=part,
        usage=part,
        recency=part,
        similarity=part,
    )


@st.composite
def questions(draw: st.DrawFn) -> Question:
    count = draw(st.integers(1, 6))
    number = st.floats(-3.0, 3.0)
    several = {"min_size": count, "max_size": count}
    belief = None
    if draw(st.booleans()):
        width = draw(st.lists(st.floats(0.01, 1.5), **several))
        belief = Belief(np.array(draw(st.lists(number, **several))), np.array(width))
    return Question(
        estimates(
            draw(st.lists(st.floats(0.0, 50.0), **several)),
            draw(st.lists(number, **several)),
            draw(st.lists(st.floats(0.0, 1.0), **several)),
        ),
        SETTINGS,
        belief=belief,
    )


def asked(question: Question, draws: tuple[float, float] | None) -> Question:
    return Question(question.estimates, question.settings, draws, question.belief)


def grid(count: int) -> list[tuple[float, float]]:
    """Draws that cover the square evenly, none on an edge between two outcomes."""
    places = (np.arange(count) + 0.5) / count
    return [(float(a), float(b)) for a in places for b in places]


# --- what all promise ------------------------------------------------------------------------


@ALL
@given(question=questions(), draws=st.none() | st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
def test_an_answer_is_one_of_the_candidates_and_says_how_likely_it_was(
    policy: object, question: Question, draws: tuple[float, float] | None
) -> None:
    answer = POLICIES[policy.name].choose(asked(question, draws))  # type: ignore[attr-defined]
    count = question.estimates.mean.shape[1]
    assert answer.score.shape == (count,) and answer.lower.shape == (count,)
    assert all(part.shape == (count,) for part in answer.parts.values())
    if answer.chosen is None:
        assert draws is None and answer.reason is Reason.ABSTAINED and answer.propensity == 0.0
    else:
        assert 0 <= answer.chosen < count
        assert 0.0 < answer.propensity <= 1.0 + 1e-12


@ALL
@given(question=questions())
def test_without_draws_nothing_is_explored_or_withheld(policy: object, question: Question) -> None:
    answer = POLICIES[policy.name].choose(question)  # type: ignore[attr-defined]
    assert answer.chosen == answer.recommended
    expected = Reason.ABSTAINED if answer.recommended is None else Reason.APPLIED
    assert answer.reason is expected


@ALL
@given(question=questions())
def test_what_is_recommended_has_enough_outcomes_and_confidence(
    policy: object, question: Question
) -> None:
    best = POLICIES[policy.name].choose(question).recommended  # type: ignore[attr-defined]
    if best is not None:
        assert question.estimates.outcomes[0, best] >= SETTINGS.minimum_usage
        assert question.estimates.confidence[0, best] >= SETTINGS.confidence_threshold


@ALL
def test_draws_always_name_an_approach_also_where_nothing_is_known(policy: object) -> None:
    unknown = Question(estimates([0.0] * 4, [0.0] * 4), SETTINGS, (0.6, 0.6))
    answer = POLICIES[policy.name].choose(unknown)  # type: ignore[attr-defined]
    assert answer.chosen is not None
    assert answer.reason in (Reason.ABSTAINED, Reason.EXPLORED)
    assert answer.recommended is None


@ALL
def test_the_propensity_is_the_share_of_draws_that_choose_so(policy: object) -> None:
    known = estimates([9.0, 5.0, 0.0, 2.0], [0.9, 0.8, 0.0, -0.5])
    question = Question(known, SETTINGS, belief=Belief(np.array([0.5, 0.7, 0.2, 0.1]), np.ones(4)))
    answers = [
        POLICIES[policy.name].choose(asked(question, draws))  # type: ignore[attr-defined]
        for draws in grid(60)
    ]
    claimed: dict[int, float] = {}
    counts = np.zeros(4)
    for answer in answers:
        assert answer.chosen is not None
        counts[answer.chosen] += 1.0
        assert claimed.setdefault(answer.chosen, answer.propensity) == answer.propensity
    for chosen, propensity in claimed.items():
        assert propensity == pytest.approx(counts[chosen] / len(answers), abs=0.02)
    assert sum(claimed.values()) == pytest.approx(1.0, abs=0.02)


@ALL
def test_a_recommendation_is_withheld_as_often_as_set(policy: object) -> None:
    belief = Belief(np.array([2.0, -2.0]), np.full(2, 0.1))
    question = Question(estimates([30.0, 30.0], [2.0, -2.0]), SETTINGS, belief=belief)
    answers = [
        POLICIES[policy.name].choose(asked(question, draws))  # type: ignore[attr-defined]
        for draws in grid(40)
    ]
    withheld = [answer for answer in answers if answer.reason is Reason.WITHHELD]
    assert len(withheld) / len(answers) == pytest.approx(SETTINGS.withheld_fraction, abs=0.02)
    # What stands in for it is any candidate, each as often.
    assert np.mean([answer.chosen for answer in withheld]) == pytest.approx(0.5, abs=0.05)


@ALL
def test_exploring_is_not_gated_by_usage_or_threshold(policy: object) -> None:
    strict = MemorySettings(minimum_usage=1_000, confidence_threshold=1.0, withheld_fraction=0.5)
    known = estimates([30.0, 30.0], [2.0, -2.0])
    for draws in grid(5):
        answer = POLICIES[policy.name].choose(Question(known, strict, draws))  # type: ignore[attr-defined]
        assert answer.chosen is not None
        assert answer.reason in (Reason.ABSTAINED, Reason.EXPLORED)


def test_a_name_that_is_not_known_says_which_are() -> None:
    with pytest.raises(ConfigError, match=r"policy = 'thomson'.*Did you mean 'thompson'"):
        policy_named("thomson")
    assert policy_named(DEFAULT_POLICY).name == DEFAULT_POLICY


# --- what each is for ------------------------------------------------------------------------


@given(question=questions(), draws=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
def test_lower_bound_is_the_swarms_own_rule(question: Question, draws: tuple[float, float]) -> None:
    answer = POLICIES["lower_bound"].choose(asked(question, draws))
    one = np.ones(1, dtype=np.bool_)
    rule = choose(question.estimates, SETTINGS, one, np.array([draws[0]]), np.array([draws[1]]))
    assert answer.chosen == rule.chosen[0]
    assert answer.reason == rule.reason[0]
    assert answer.propensity == rule.propensity[0]


def test_the_reports_confidence_prefers_what_is_used_often_to_what_is_better() -> None:
    known = estimates([40.0, 4.0], [0.1, 0.9], [0.9, 0.6])
    confident = POLICIES["confidence"].choose(Question(known, NOTHING_WITHHELD, (0.5, 0.5)))
    blended = POLICIES["blend"].choose(Question(known, NOTHING_WITHHELD, (0.5, 0.5)))
    assert (confident.chosen, blended.chosen) == (0, 1)


@pytest.mark.parametrize("policy", [Ucb(), LinUcb(), Blend()], ids=lambda one: str(one.name))
def test_what_was_never_tried_is_tried_before_what_disappointed(policy: Ucb) -> None:
    question = Question(
        estimates([20.0, 0.0], [-0.8, 0.0]),
        NOTHING_WITHHELD,
        (0.5, 0.5),
        Belief(np.array([-0.8, 0.0]), np.array([0.2, 1.4])),
    )
    answer = policy.choose(question)
    assert (answer.chosen, answer.reason) == (1, Reason.EXPLORED)


def test_with_nothing_nearby_the_blend_goes_by_the_model() -> None:
    belief = Belief(np.array([-0.3, 0.6, 0.1]), np.full(3, 0.2))
    question = Question(estimates([0.0] * 3, [0.0] * 3), SETTINGS, (0.5, 0.5), belief)
    answer = Blend(exploration=0.0).choose(question)
    np.testing.assert_allclose(answer.parts["mean"], belief.mean)
    assert answer.chosen == 1


def test_with_much_nearby_the_blend_overrules_the_model() -> None:
    belief = Belief(np.array([2.0, -2.0]), np.full(2, 0.01))
    question = Question(estimates([40.0, 40.0], [-1.0, 1.0]), SETTINGS, (0.5, 0.5), belief)
    assert Blend().choose(question).chosen == 1


def test_without_a_model_the_blend_still_answers() -> None:
    question = Question(estimates([12.0, 12.0], [-1.0, 1.0]), SETTINGS)
    assert Blend().choose(question).recommended == 1


def test_chances_of_being_the_best_are_those_of_drawn_numbers() -> None:
    mean, error = np.array([0.3, 0.0, 0.5]), np.array([0.2, 1.0, 0.1])
    drawn = np.random.default_rng(1).normal(mean, error, size=(200_000, 3)).argmax(axis=1)
    np.testing.assert_allclose(
        chances_of_best(mean, error), np.bincount(drawn) / len(drawn), atol=0.01
    )


def test_what_stands_in_for_a_lot_that_is_withheld_is_a_lot_of_its_own() -> None:
    half = MemorySettings(withheld_fraction=0.5)
    chances, may = np.array([0.25, 0.75]), np.array([True, False])
    found = [
        mixed(
            Question(estimates([9.0, 0.0], [1.0, 0.0]), half, draws),
            chances,
            may,
            0,
            lower=chances,
            score=chances,
            parts={},
            formula="",
        )
        for draws in grid(40)
    ]
    assert np.mean([answer.chosen == 0 for answer in found]) == pytest.approx(0.1875, abs=0.01)
    assert {answer.chosen: answer.propensity for answer in found} == pytest.approx(
        {0: 0.1875, 1: 0.8125}
    )


def test_thompson_tries_each_as_often_as_it_may_be_the_best() -> None:
    known = estimates([5.0, 5.0], [0.0, 0.2])
    question = Question(known, NOTHING_WITHHELD)
    chances = Thompson().choose(question).score
    picked = [Thompson().choose(asked(question, draws)).chosen for draws in grid(40)]
    assert np.mean(picked) == pytest.approx(chances[1], abs=0.03)


def test_scores_can_be_checked_from_their_parts() -> None:
    known = estimates([9.0, 1.0], [0.5, 0.1])
    answer: Answer = Ucb(exploration=0.3).choose(Question(known, SETTINGS))
    np.testing.assert_allclose(
        answer.score, answer.parts["mean"] + 0.3 * answer.parts["standard_error"]
    )
