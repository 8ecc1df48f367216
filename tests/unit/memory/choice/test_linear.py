"""The linear model: sums in any order, taken back again, features of any scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.choice import linear
from swarm_runtime.memory.choice.linear import LinearModel
from swarm_runtime.memory.records.trajectory import Context

ARMS = ["left", "middle", "right"]
Try = tuple[Context, str, float]


def tries(seed: int, count: int = 60, *, texts: bool = True) -> list[Try]:
    generator = np.random.default_rng(seed)
    found: list[Try] = []
    for _ in range(count):
        size, rate = float(np.exp(generator.normal(9.0, 2.0))), float(generator.random())
        context: dict[str, float | str] = {"size": size, "rate": rate, "when": 1.7e9 + 60 * rate}
        if texts and generator.random() < 0.7:
            context["site"] = ["the old shop", "a forum"][int(generator.integers(2))]
        arm = ARMS[int(generator.integers(len(ARMS)))]
        excess = {"left": rate, "middle": -rate, "right": 0.2}[arm] + generator.normal(0.0, 0.1)
        found.append((context, arm, float(excess)))
    return found


def learnt(found: list[Try], weight: float = 1.0) -> LinearModel:
    model = LinearModel()
    for context, arm, excess in found:
        model.learn(context, arm, excess, weight)
    return model


def assert_same(one: LinearModel, other: LinearModel, contexts: list[Context]) -> None:
    for context in contexts:
        mine, theirs = one.predict(context, ARMS), other.predict(context, ARMS)
        np.testing.assert_allclose(mine.mean, theirs.mean, atol=1e-6)
        np.testing.assert_allclose(mine.width, theirs.width, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.data())
def test_any_order_and_asking_in_between_change_nothing(seed: int, data: st.DataObject) -> None:
    found = tries(seed)
    asked = [context for context, _, _ in found[:5]]
    other = LinearModel()
    for at, (context, arm, excess) in enumerate(data.draw(st.permutations(found))):
        other.learn(context, arm, excess)
        if at % 3 == 0:
            other.predict(context, ARMS)
    assert_same(learnt(found), other, asked)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16))
def test_what_is_taken_back_was_never_learnt(seed: int) -> None:
    found, more = tries(seed), tries(seed + 1, 20)
    model = learnt(found + more)
    model.predict(found[0][0], ARMS)
    for context, arm, excess in more:
        model.learn(context, arm, excess, -1.0)
    assert_same(learnt(found), model, [context for context, _, _ in found[:5]])


def test_taking_back_almost_everything_loses_no_digits() -> None:
    found = tries(2)
    model = learnt(found)
    heavy: Context = {"size": 5e3, "rate": 0.5, "when": 1.7e9}
    for weight in (1e7, -1e7):
        model.predict(heavy, ARMS)
        model.learn(heavy, "left", 1.0, weight)
    assert_same(learnt(found), model, [context for context, _, _ in found[:5]])


def test_sums_at_once_are_outcomes_one_by_one() -> None:
    found = tries(3)
    at_once = LinearModel()
    at_once.learn_sums(
        [context for context, _, _ in found],
        [arm for _, arm, _ in found],
        np.full(len(found), 2.0),
        np.array([2.0 * excess for _, _, excess in found]),
    )
    assert_same(learnt(found + found), at_once, [context for context, _, _ in found[:5]])


def test_it_is_ridge_regression_on_standardised_features() -> None:
    found = tries(5, 200, texts=False)
    model = learnt(found)
    predicted = np.array([model.predict(context, ARMS).mean[0] for context, _, _ in found])
    rates = np.array([float(context["rate"]) for context, _, _ in found])
    assert np.corrcoef(predicted, rates)[0, 1] > 0.98
    assert np.abs(predicted - rates).mean() < 0.1


def test_the_unit_of_a_number_does_not_matter() -> None:
    def scaled(found: list[Try], unit: float) -> list[Try]:
        # Powers of two: spreads are rounded to half octaves, and must be rounded alike.
        return [
            ({"rate": float(c["rate"]) * unit, "size": float(c["size"]) * unit}, arm, excess)
            for c, arm, excess in found
        ]

    found = tries(7, texts=False)
    one, other = learnt(scaled(found, 1.0)), learnt(scaled(found, 2.0**20))
    for (mine, _, _), (theirs, _, _) in zip(
        scaled(found, 1.0)[:5], scaled(found, 2.0**20)[:5], strict=True
    ):
        np.testing.assert_allclose(
            one.predict(mine, ARMS).mean, other.predict(theirs, ARMS).mean, atol=1e-6
        )


def test_the_width_says_what_the_outcomes_are_worth() -> None:
    context: Context = {"rate": 0.5}
    few, many = LinearModel(), LinearModel()
    for count, model in ((4, few), (400, many)):
        for at in range(count):
            model.learn({"rate": 0.25 + 0.5 * (at % 2)}, "left", 1.0)
    worth = [model.predict(context, ["left"]).width[0] ** -2 for model in (few, many)]
    assert 2.0 < worth[0] < 20.0 < worth[1]


def test_of_an_approach_it_has_not_seen_it_says_nothing_as_wide_as_can_be() -> None:
    found = tries(9)
    model = learnt(found)
    belief = model.predict(found[0][0], ["left", "never seen"])
    assert belief.mean[1] == 0.0
    assert belief.width[1] > belief.width[0]
    empty = LinearModel().predict({"rate": 1.0}, ARMS)
    np.testing.assert_array_equal(empty.mean, 0.0)


def test_words_of_a_text_are_learnt() -> None:
    model = LinearModel()
    for at in range(40):
        shop = at % 2 == 0
        text = f"order {at} from the {'shop' if shop else 'forum'}"
        model.learn({"text": text}, "left", 1.0 if shop else -1.0)
    belief = [model.predict({"text": f"one {word} today"}, ["left"]) for word in ("shop", "forum")]
    assert belief[0].mean[0] > 0.2 > -0.2 > belief[1].mean[0]


@pytest.mark.parametrize("value", [0.0, -1e300, 1e300, 1e-300])
def test_no_number_breaks_it(value: float) -> None:
    model = learnt(tries(11))
    model.learn({"rate": value, "new": value}, "left", 1.0)
    belief = model.predict({"rate": value, "new": 1.0}, ARMS)
    assert np.isfinite(belief.mean).all() and np.isfinite(belief.width).all()


def test_of_too_many_names_the_same_stay_whichever_came_first() -> None:
    names = [f"n{at}" for at in range(linear.MOST_NUMBERS + 30)]
    generator = np.random.default_rng(0)

    def model(order: npt.NDArray[np.int64]) -> LinearModel:
        made = LinearModel()
        for at in order.tolist():
            for step in range(3):
                made.learn({names[at]: float(step), "x": float(step)}, "left", float(step))
        return made

    one = model(np.arange(len(names)))
    other = model(generator.permutation(len(names)))
    asked: Context = dict.fromkeys(names, 2.0) | {"x": 1.0}
    np.testing.assert_allclose(
        one.predict(asked, ARMS).mean, other.predict(asked, ARMS).mean, atol=1e-6
    )
