"""Records besides tries: canonical, named by their content, refused where they make no sense."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.memory.records.annotations import (
    ALWAYS,
    ANNOTATIONS,
    Annotation,
    Item,
    Link,
    Tombstone,
    Usage,
    Verdict,
    annotation_from_bytes,
    content_id,
)
from tests.annotations import annotations, item, link, tombstone, usage, verdict
from tests.experiences import DAY_S, trajectory

#: One of each kind.
SAMPLES: tuple[Annotation, ...] = (verdict(), item(), usage(), link(), tombstone())


@given(annotations())
def test_an_annotation_survives_being_written_down(one: Annotation) -> None:
    again = annotation_from_bytes(one.kind, one.to_bytes())
    assert again == one
    assert again.id == one.id
    assert again.to_bytes() == one.to_bytes()


def test_there_is_a_sample_of_every_kind() -> None:
    assert [type(one) for one in SAMPLES] == list(ANNOTATIONS.values())


@given(annotations(), annotations())
def test_what_is_named_by_its_content_has_a_name_to_itself(
    first: Annotation, second: Annotation
) -> None:
    if isinstance(first, (Item, Link, Tombstone)) and type(first) is type(second):
        assert (first.id == second.id) == (first == second)


def test_the_same_said_from_other_sources_is_the_same_statement_and_another_item() -> None:
    first, second = item(sources=("t1",)), item(sources=("t2", "t3"), agent="b", known_at_s=9)
    assert first.statement == second.statement
    assert first.id != second.id
    assert item(when_not="on Sundays").statement != first.statement


def test_sources_come_in_one_order_and_once() -> None:
    assert item(sources=["b", "a", "b"]).sources == ("a", "b")
    assert item(sources=("a", "b")).id == item(sources=("b", "a")).id


def test_content_ids_depend_on_where_the_parts_end() -> None:
    assert content_id("ab", "c") != content_id("a", "bc")
    assert len(content_id()) == 16


def test_a_tombstone_counts_from_the_beginning_unless_said_otherwise() -> None:
    assert tombstone().from_s == ALWAYS
    assert tombstone(from_s=DAY_S).id != tombstone().id


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (verdict, "id", ""),
        (verdict, "trajectory", None),
        (verdict, "judge", "\ud800"),
        (verdict, "verdict", 2),
        (verdict, "verdict", True),
        (verdict, "verdict", 1.0),
        (verdict, "known_at_s", 1.0),
        (verdict, "known_at_s", 2**54),
        (verdict, "confidence", 1.1),
        (verdict, "confidence", "high"),
        (verdict, "confidence", float("nan")),
        (verdict, "excess", float("inf")),
        (verdict, "excess", 10**400),
        (verdict, "cost_usd", -0.01),
        (item, "title", ""),
        (item, "content", 3),
        (item, "when", None),
        (item, "learnt_from", "sucess"),
        (item, "sources", ()),
        (item, "sources", "t1"),
        (item, "sources", 7),
        (item, "sources", ("t1", "")),
        (item, "sources", ("\udfff",)),
        (item, "context", {"x": None}),
        (usage, "given", 1),
        (usage, "used", "yes"),
        (usage, "propensity", 0.0),
        (usage, "propensity", True),
        (link, "relation", "is like"),
        (link, "target", "p1"),
        (tombstone, "target_kind", "file"),
        (tombstone, "target", ""),
        (tombstone, "from_s", None),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_by_name(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        make(**{name: value})


def test_a_word_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(ValueError, match="Did you mean 'success'"):
        item(learnt_from="sucess")
    with pytest.raises(ValueError, match="Did you mean 'contradicts'"):
        link(relation="contradict")


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'tombstone'"):
        annotation_from_bytes("tombstones", tombstone().to_bytes())


@pytest.mark.parametrize("one", SAMPLES, ids=lambda one: one.kind)
def test_bytes_of_another_kind_are_refused(one: Annotation) -> None:
    for kind in ANNOTATIONS:
        if kind != one.kind:
            with pytest.raises(ValueError, match=f"not a record of kind {kind}"):
                annotation_from_bytes(kind, one.to_bytes())
    for data in (b"", one.to_bytes()[:-1], encode([1]), trajectory().to_bytes()):
        with pytest.raises(ValueError):
            annotation_from_bytes(one.kind, data)


#: What JSON may hold in the place of any value.
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(10**400)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(SAMPLES), st.data())
def test_bytes_with_any_other_value_are_refused_or_read_as_something_sound(
    one: Annotation, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([field.name for field in fields(one)]))
    values = decode(one.to_bytes())
    values[name] = data.draw(JSON_VALUES)
    try:
        spoilt = encode(values)
    except (TypeError, ValueError):
        return  # nothing that the codec writes
    try:
        again = annotation_from_bytes(one.kind, spoilt)
    except ValueError:
        return
    assert annotation_from_bytes(one.kind, again.to_bytes()) == again


@given(st.binary(max_size=60), st.sampled_from(sorted(ANNOTATIONS)))
def test_bytes_of_any_kind_are_refused_with_a_reason(data: bytes, kind: str) -> None:
    with pytest.raises(ValueError):
        annotation_from_bytes(kind, data)


def test_records_can_not_be_changed() -> None:
    for one in SAMPLES:
        with pytest.raises(AttributeError):
            one.known_at_s = 0  # type: ignore[misc]


def test_the_defaults_say_as_little_as_possible() -> None:
    assert Verdict("v", "t", "j", 1, DAY_S) == verdict("v", trajectory="t", judge="j")
    assert Verdict("v", "t", "j", 1, DAY_S).excess is None
    assert Usage("u", "t", "p", True, None, 1.0, "a", DAY_S).used is None
    assert Link("similar", "a", "b", "me", 0).kind == "link"
    assert Tombstone("agent", "a", "", "me", 0).reason == ""
