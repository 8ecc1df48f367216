"""Answers as plain values: keys are the attributes, numbers that are none are null."""

from __future__ import annotations

import json

import pytest

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.memory.plain import plain
from swarm_runtime.memory.records.annotations import Item, Tombstone
from tests.experiences import DAY_S, trajectory


def test_an_answer_has_a_key_for_each_attribute_and_for_what_follows_from_it() -> None:
    with ReasoningBank.open(":memory:") as bank:
        bank.record_many(trajectory(f"t{at}", known_at_s=at * DAY_S) for at in range(6))
        (found,) = bank.search({"site": "example.org"})
        told = plain(found)
        answer = bank.recommend("fetch", {"site": "example.org"}, ["mirror"], 6 * DAY_S)
        said = plain(answer)
    assert told["sentence"] == found.sentence()
    assert told["pattern"]["id"] == found.pattern.id
    assert told["pattern"]["actual"] == {"trials": 6, "successes": 6, "failures": 0}
    assert told["confidence"]["value"] == found.confidence.value
    assert set(told["confidence"]) == {"value", "success", "usage", "recency", "similarity"}
    assert told["pattern"]["interval"] == list(found.pattern.interval)
    assert (said["reason"], said["approach"]) == ("applied", "mirror")
    assert json.loads(json.dumps([told, said], allow_nan=False)) == [told, said]


def test_records_show_the_ids_that_follow_from_their_content() -> None:
    stone = Tombstone("agent", "liar", "lies", "me", DAY_S)
    item = Item(
        "fetch", "T", "D", "C", "", "", "success", ("t1",), {"site": "example.org"}, "me", DAY_S
    )
    assert plain(stone)["id"] == stone.id
    assert (plain(item)["id"], plain(item)["statement"]) == (item.id, item.statement)
    assert plain(item)["sources"] == ["t1"]


def test_a_number_that_is_none_is_null_and_reasons_are_words() -> None:
    assert plain([float("nan"), float("inf"), 1.5, True, None]) == [None, None, 1.5, True, None]
    assert plain({"reason": Reason.ABSTAINED}) == {"reason": "abstained"}


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(TypeError, match="set is not written as JSON"):
        plain({"a": {1, 2}})
