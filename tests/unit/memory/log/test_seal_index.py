"""Sums of seals: equal for equal records, in whatever order, and for nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.log.seal_index import (
    ELEMENT,
    NOWHERE,
    SCOPES,
    Seal,
    SealIndex,
    record_key,
    scope_of,
)

ROOT = np.zeros(1, np.uint64)
EARLIEST = -(2**53)


def seal(at: int, *, kind: str = "trajectory", sha256: bytes | None = None) -> Seal:
    digest = hashlib.sha256(f"{kind}{at}".encode()).digest()
    return Seal(kind, f"r{at}", at, digest if sha256 is None else sha256, at)


def index_of(*seals: Seal) -> SealIndex:
    index = SealIndex()
    index.add(seals)
    return index


def total(index: SealIndex, from_s: int = EARLIEST) -> tuple[int, ...]:
    (found,) = index.sums("passing", 0, ROOT, from_s)
    return tuple(found.item())


def test_a_sum_depends_on_all_of_the_first_sixteen_bytes() -> None:
    base = bytes(32)
    for at in range(16):
        other = base[:at] + b"\1" + base[at + 1 :]
        assert total(index_of(seal(1, sha256=base))) != total(index_of(seal(1, sha256=other)))


@settings(deadline=None, max_examples=60)
@given(
    numbers=st.lists(st.integers(0, 10**6), unique=True, max_size=60),
    cuts=st.lists(st.integers(1, 9), max_size=9),
    from_s=st.integers(0, 10**6),
    bits=st.sampled_from([0, 4, 8, 64]),
)
def test_sums_and_names_are_those_of_counting_one_by_one(
    numbers: list[int], cuts: list[int], from_s: int, bits: int
) -> None:
    index, waiting = SealIndex(), list(numbers)
    for count in [*cuts, len(waiting)]:
        index.add([seal(at) for at in waiting[:count]])
        waiting = waiting[count:]
    keys = {at: record_key("trajectory", f"r{at}") for at in numbers if at >= from_s}
    prefixes = np.array(sorted({key >> (64 - bits) for key in keys.values()}), np.uint64)
    expected = []
    for prefix in prefixes.tolist():
        inside = [seal(at).sha256 for at, key in keys.items() if key >> (64 - bits) == prefix]
        lanes = [sum(int.from_bytes(one[at : at + 8], "little") for one in inside) for at in (0, 8)]
        expected.append((len(inside), lanes[0] % 2**64, lanes[1] % 2**64))
    assert [
        tuple(one) for one in index.sums("passing", bits, prefixes, from_s).tolist()
    ] == expected
    named = index.elements("passing", bits, prefixes, from_s)
    assert sorted(named["key"].tolist()) == sorted(keys.values())
    assert index.places("passing", named, from_s).tolist() == sorted(keys)


def test_a_name_with_another_seal_is_not_found() -> None:
    index = index_of(seal(1))
    name = index.elements("passing", 0, ROOT, EARLIEST)
    assert index.places("passing", name, EARLIEST).tolist() == [1]
    name["seal"] += 1
    assert index.places("passing", name, EARLIEST).tolist() == []
    assert index.places("passing", np.empty(0, ELEMENT), EARLIEST).tolist() == []


def test_kinds_that_retention_spares_are_compared_whatever_their_age() -> None:
    index = index_of(*(seal(1, kind=kind) for kind in ("tombstone", "item", "link", "verdict")))
    counts = [int(index.sums(scope, 0, ROOT, 100)["count"][0]) for scope in SCOPES]
    assert dict(zip(SCOPES, counts, strict=True)) == {"tombstone": 1, "lasting": 2, "passing": 0}
    assert scope_of("usage") == scope_of("trajectory") == "passing"


def test_what_is_forgotten_takes_no_room() -> None:
    index = index_of(*(seal(at) for at in range(100)), seal(1, kind="item"))
    index.forget(60)
    assert len(index) == 41
    assert total(index) == total(index_of(*(seal(at) for at in range(60, 100))))


def test_what_was_here_before_counts_but_is_nowhere() -> None:
    before = index_of(*(seal(at) for at in range(50)))
    now = index_of(*(seal(at) for at in range(10, 60)))
    now.settle(before)
    assert total(now) == total(index_of(*(seal(at) for at in range(60))))
    names = now.elements("passing", 0, ROOT, EARLIEST)
    assert now.places("passing", names, EARLIEST).tolist() == list(range(10, 60))
    assert now.known("trajectory", "r3") == seal(3).sha256[:8]
    assert now.known("trajectory", "r70") is None
    assert NOWHERE not in now.places("passing", names, EARLIEST)


@pytest.mark.parametrize(("one", "other"), [(("a", "bc"), ("ab", "c")), (("a", ""), ("", "a"))])
def test_kind_and_id_do_not_run_into_each_other(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert record_key(*one) != record_key(*other)
