"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swarm_runtime.report import words


@pytest.mark.parametrize(
    ("show", "value", "shown"),
    [
        (words.percent, 0.1234, "12.3\u202f%"),
        (words.percent, -0.365, "−36.5\u202f%"),
        (words.signed_percent, 0.1234, "+12.3\u202f%"),
        (words.signed_percent, -0.0001, "0.0\u202f%"),
        (words.points, 0.0188, "+1.88"),
        (words.ratio, -0.004, "0.00"),
        (words.ratio, -0.617, "−0.62"),
        (words.count, 1234, "1234"),
        (words.count, 12_345_678, "12\u202f345\u202f678"),
        (words.money, 25.5, "$26"),
    ],
)
def test_a_figure_has_its_sign_and_its_unit(
    show: Callable[[float | None], str], value: float, shown: str
) -> None:
    assert show(value) == shown


@pytest.mark.parametrize(
    "show",
    [words.percent, words.signed_percent, words.points, words.ratio, words.count, words.money],
)
def test_what_is_not_defined_is_a_dash_and_not_zero(show: Callable[[float | None], str]) -> None:
    assert show(None) == "–"


PATTERN = {
    "applied": 1,
    "agents": ["a", "b"],
    "mean_excess": 0.214,
    "lower_bound": -0.08,
    "outcomes": 12.4,
    "confidence": {"total": 0.5, "success": 0.1, "usage": 0.2, "recency": 0.3, "similarity": 0.4},
}


def test_the_evidence_of_a_pattern_is_told_in_figures() -> None:
    assert words.evidence(PATTERN) == (
        "followed 1 time by 2 agents · "
        "known then: mean excess +0.21 σ, lower bound −0.08 σ, 12 outcomes"
    )
    more = {**PATTERN, "agents": 3, "realised_excess": 0.1, "realised_interval": [-0.1, 0.3]}
    assert words.evidence(more).endswith("· came of it: +0.10 σ (−0.10 to +0.30)")
    assert words.evidence({**more, "realised_interval": None}).endswith("came of it: +0.10 σ")
    assert words.evidence({**PATTERN, "evidence": "[x]"}).endswith(" · [x]")


@pytest.mark.parametrize("name", ["similarity", "context"])
def test_the_parts_of_a_confidence_carry_the_reports_weights(name: str) -> None:
    parts = {"success": 0.1, "usage": 0.2, "recency": 0.3, name: 0.4}
    assert words.confidence_parts({"confidence": parts}) == [
        ("success rate", 0.4, 0.1),
        ("usage", 0.3, 0.2),
        ("recency", 0.2, 0.3),
        ("context", 0.1, 0.4),
    ]
