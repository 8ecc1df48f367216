"""Contexts of any kind are cut into cells that everybody computes alike."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swarm_runtime.memory.records.contexts import (
    ContextReader,
    normal_text,
    number_place,
    number_value,
)
from tests.experiences import SPACE

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CONTEXTS = st.dictionaries(st.sampled_from(["trend", "size", "site", "ü"]), NUMBERS | st.text())
READER = ContextReader(SPACE)


@given(CONTEXTS)
def test_the_order_of_features_does_not_matter(context: dict[str, float | str]) -> None:
    assert READER.cell(context) == READER.cell(dict(reversed(context.items())))


@given(CONTEXTS)
@example({"size": 1.7976931348623157e308})
@example({"size": -5e-324, "site": "ſt ǰ"})
def test_the_middle_of_a_cell_lies_in_it(context: dict[str, float | str]) -> None:
    cell = READER.cell(context)
    assert READER.cell(READER.centre(cell)) == cell


@given(st.text())
def test_normal_texts_stay_as_they_are(text: str) -> None:
    assert normal_text(normal_text(text)) == normal_text(text)


def test_case_and_white_space_make_no_difference() -> None:
    assert normal_text("  Scrape\tthe \n TABLE ") == "scrape the table"


@given(st.floats(-1e300, 1e300))
def test_a_number_comes_back_from_its_place(value: float) -> None:
    assert number_value(number_place(value)) == pytest.approx(value, rel=1e-9, abs=1e-300)


@given(NUMBERS, NUMBERS)
def test_places_are_in_the_order_of_numbers(first: float, second: float) -> None:
    if first <= second:
        assert number_place(first) <= number_place(second)


def test_undeclared_numbers_are_cut_by_quarters_of_a_factor_of_two_whatever_their_scale() -> None:
    reader = ContextReader()
    for scale in (1.0, 1e3, 1e9, -1e6):
        ((_, at),) = reader.cell({"x": scale})
        ((_, double),) = reader.cell({"x": 2.0 * scale})
        assert isinstance(at, int) and isinstance(double, int)
        assert abs(double) - abs(at) == 4


def test_declared_numbers_are_cut_by_their_edges_and_named_by_their_words() -> None:
    cell = READER.cell({"trend": 1.5, "volatility": 0.1})
    assert cell == (("trend", 2), ("volatility", 0))
    assert READER.words(cell) == {"trend": "rising", "volatility": "calm"}


def test_a_context_of_exactly_the_space_has_a_number_and_others_have_none() -> None:
    assert READER.number({"volatility": 0.1, "trend": 1.5}) == 6
    assert READER.numbered(6) == READER.cell({"trend": 1.5, "volatility": 0.1})
    assert READER.number({"trend": 1.5}) is None
    assert READER.number({"trend": 1.5, "volatility": 0.1, "more": 1.0}) is None
    assert READER.number({"trend": "rising", "volatility": 0.1}) is None
    assert ContextReader().number({"trend": 1.5}) is None


def test_words_of_undeclared_features_tell_text_and_size() -> None:
    reader = ContextReader()
    assert reader.words(reader.cell({"site": "Example", "size": 1000.0})) == {
        "site": "example",
        "size": "about 1e+03",
    }


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match="size"):
        READER.cell({"size": value})
