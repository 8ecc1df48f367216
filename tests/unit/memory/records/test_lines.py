"""Tries as lines of JSON: what is written is read back; the first bad line is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.errors import DataError
from swarm_runtime.memory.records.lines import (
    object_from_json,
    read_tries,
    try_from_json,
    try_to_json,
)
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.experiences import trajectory

GOOD: dict[str, Any] = {
    "id": "run1/7",
    "agent": "me",
    "task_type": "fetch",
    "approach": "mirror",
    "context": {"site": "example.org", "hour": 14},
    "known_at_s": 1_700_000_000,
    "verdict": 1,
}
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@given(
    st.builds(
        Trajectory,
        id=TEXTS,
        agent=TEXTS,
        task_type=TEXTS,
        approach=TEXTS,
        context=st.dictionaries(TEXTS, TEXTS | st.floats(allow_nan=False, allow_infinity=False)),
        known_at_s=st.integers(-(2**53), 2**53),
        excess=st.floats(allow_nan=False, allow_infinity=False),
        verdict=st.sampled_from([-1, 0, 1]),
        domain=st.text(st.characters(codec="utf-8")),
        task=st.text(st.characters(codec="utf-8")),
        steps=st.lists(TEXTS, max_size=3).map(tuple),
    )
)
def test_a_try_that_was_written_as_a_line_is_read_back_as_it_was(one: Trajectory) -> None:
    text = try_to_json(one)
    assert "\n" not in text
    assert try_from_json(text) == one


def test_a_yes_or_no_task_needs_no_excess_of_its_own() -> None:
    (found,) = read_tries([line(verdict=-1)], "x")
    assert found[1].excess == -1.0
    assert found[1].context == {"site": "example.org", "hour": 14.0}


def test_empty_lines_and_a_byte_order_mark_are_passed_over() -> None:
    lines = [b"\xef\xbb\xbf" + line(id="a") + b"\r\n", b"\n", b"  \n", line(id="b")]
    assert [(number, one.id) for number, one in read_tries(lines, "x")] == [(1, "a"), (4, "b")]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"{", "is no JSON"),
        (b"[]", "is no object"),
        (b"\xff", "is not text in UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
        (line(verdict=True), "verdict = true: a number is needed"),
        (line(excess=False), "excess = false: a number is needed"),
        (line(verdict=2), "verdict = 2: 1, 0 or -1"),
        (line(verdict="success"), "verdict = 'success': 1, 0 or -1"),
        (line(known_at_s=1.5), "known_at_s = 1.5: whole seconds"),
        (line(context={"a": [1]}), r"context\['a'\] = \[1\]: a text or a finite number"),
        (line(steps="asked"), "steps = 'asked': texts are needed"),
        (line(excess=10**400), "excess = 1000.*: a finite number"),
        (line().replace(b"14}", b"NaN}"), "NaN: a finite number is needed"),
        (line().replace(b'"agent": "me", ', b""), "agent is missing; needed are id, agent"),
        (
            line().replace(b"approach", b"aproach"),
            "'aproach': no such key. Did you mean 'approach'",
        ),
        (line().replace(b'"agent"', b'"id"'), "'id': is there twice"),
        (line(id="\ud800"), "id = .*: a text is needed"),
    ],
)
def test_the_first_bad_line_is_named_with_what_is_allowed(bad: bytes, says: str) -> None:
    with pytest.raises(DataError, match=f"^tries.jsonl, line 3: {says}"):
        list(read_tries([line(id="a"), line(id="b"), bad, b"{"], "tries.jsonl"))


def test_one_id_that_stands_for_two_tries_is_refused_and_a_repeated_try_is_not() -> None:
    assert len(list(read_tries([line(), line()], "x"))) == 2
    with pytest.raises(DataError, match=r"x, line 2: id = 'run1/7': .* another try on line 1"):
        list(read_tries([line(), line(verdict=-1)], "x"))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_try_or_are_refused_with_their_line(data: bytes) -> None:
    try:
        found = list(read_tries([data], "x"))
    except DataError as problem:
        assert problem.row == 1
    else:
        assert found == []  # so few bytes hold no try


@given(st.text(max_size=20))
def test_an_object_is_read_as_it_is_or_refused(text: str) -> None:
    try:
        found = object_from_json(text)
    except ValueError:
        return
    assert json.loads(text) == found


def test_a_line_of_a_try_is_what_the_codec_keeps() -> None:
    one = trajectory("t", steps=("asked",), task="page 7")
    assert try_from_json(try_to_json(one)).to_bytes() == one.to_bytes()
