"""Replicas that exchange what they lack end up equal, whatever was lost, doubled or cut short."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import Sealed
from swarm_runtime.memory.log.deltas import (
    Accepted,
    Delta,
    Fetch,
    Hello,
    Packet,
    Parts,
    Reply,
    Request,
    Split,
    message_bytes,
)
from swarm_runtime.memory.records.annotations import (
    Annotation,
    Item,
    Link,
    Tombstone,
    Usage,
    Verdict,
)
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.anti_entropy import Exchanged, reconcile
from swarm_runtime.memory.travel.replica import Replica
from tests.experiences import DAY_S, experience, random_experience, trajectory
from tests.logs import DictLog, kind_of

Record = Trajectory | Annotation | Sealed


def annotation(kind: str, at: int) -> Annotation:
    """One of any kind, another one for each number."""
    time = at * DAY_S
    if kind == "verdict":
        return Verdict(f"v{at}", f"t{at}", "judge", 1, time)
    if kind == "usage":
        return Usage(f"u{at}", f"t{at}", "target", True, None, 0.5, "me", time)
    if kind == "link":
        return Link("similar", f"p{at}", "q", "me", time)
    if kind == "tombstone":
        return Tombstone("agent", f"liar{at}", "", "me", time)
    return Item(
        "fetch", f"title {at}", "one", "two", "", "", "success", (f"t{at}",), {}, "me", time
    )


def world(count: int = 6, agents: int = 3) -> list[Record]:
    """Everything that there is to know."""
    kinds = ("verdict", "usage", "link", "tombstone", "item")
    return [
        *(trajectory(f"t{at}", known_at_s=at * DAY_S) for at in range(count)),
        *(annotation(kind, at) for kind in kinds for at in range(count)),
        *(experience(f"a{a}", epoch).seal() for a in range(agents) for epoch in range(1, 5)),
    ]


WORLD = world()
#: Which of them somebody knows.
KNOWN = st.sets(st.integers(0, len(WORLD) - 1))


def log_of(records: Sequence[Record]) -> DictLog:
    log = DictLog()
    learn(log, records)
    return log


def learn(log: DictLog, records: Sequence[Record]) -> None:
    """Record what a log may take: experiences only where they leave no gap."""
    Replica(log).merge(
        Delta(
            -(2**53),
            tuple(one for one in records if isinstance(one, Sealed)),
            tuple(
                Packet(kind_of(one), one.to_bytes())
                for one in records
                if not isinstance(one, Sealed)
            ),
        )
    )


def known_to(log: DictLog) -> set[object]:
    return {*log.records, *log.experiences}


def chosen(places: set[int]) -> list[Record]:
    return [WORLD[at] for at in sorted(places)]


def exchange(first: DictLog, second: DictLog) -> Exchanged:
    return reconcile(Replica(first), Replica(second).answer)


# --- merging is union -------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(first=KNOWN, second=KNOWN)
def test_an_exchange_leaves_both_with_the_union(first: set[int], second: set[int]) -> None:
    here, there = log_of(chosen(first)), log_of(chosen(second))
    union = known_to(here) | known_to(there)
    done = exchange(here, there)
    assert known_to(here) == known_to(there) == union
    assert Replica(here).digest(bits=3) == Replica(there).digest(bits=3)
    assert done.refused == ()
    again = exchange(here, there)
    assert (again.received, again.sent, again.messages) == (0, 0, 1)


@settings(deadline=None, max_examples=40)
@given(
    known=st.lists(KNOWN, min_size=3, max_size=3),
    meetings=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6),
)
def test_who_meets_whom_and_when_does_not_matter(
    known: list[set[int]], meetings: list[tuple[int, int]]
) -> None:
    logs = [log_of(chosen(one)) for one in known]
    union = set().union(*(known_to(log) for log in logs))
    for one, other in meetings:
        exchange(logs[one], logs[other])
    for one, other in ((0, 1), (1, 2), (0, 1), (0, 2)):
        exchange(logs[one], logs[other])
    assert all(known_to(log) == union for log in logs)
    assert len({str(Replica(log).digest(bits=3)) for log in logs}) == 1


@settings(deadline=None, max_examples=40)
@given(
    order=st.permutations(range(len(WORLD))),
    twice=KNOWN,
    cuts=st.lists(st.integers(1, 12), max_size=8),
)
def test_deltas_come_in_any_order_doubled_and_in_parts(
    order: list[int], twice: set[int], cuts: list[int]
) -> None:
    log = DictLog()
    waiting = [WORLD[at] for at in order] + chosen(twice)
    for count in [*cuts, len(waiting)]:
        learn(log, waiting[:count])  # by a new replica each time: a restart
        waiting = waiting[count:]
    for _ in range(4):  # what came before its predecessors comes again
        learn(log, [one for one in WORLD if isinstance(one, Sealed)])
    assert known_to(log) == known_to(log_of(WORLD))
    assert Replica(log).digest(bits=4) == Replica(log_of(WORLD)).digest(bits=4)


@settings(deadline=None, max_examples=40)
@given(first=KNOWN, second=KNOWN, answers=st.integers(0, 12))
def test_an_exchange_that_was_cut_short_goes_on_where_it_was(
    first: set[int], second: set[int], answers: int
) -> None:
    here, there = log_of(chosen(first)), log_of(chosen(second))
    union = known_to(here) | known_to(there)
    left = answers

    def ask(request: Request) -> Reply:
        nonlocal left
        if not left:
            raise ConnectionError
        left -= 1
        return Replica(there).answer(request)

    try:
        reconcile(Replica(here), ask)
    except ConnectionError:
        assert known_to(here) | known_to(there) == union
    exchange(there, here)
    assert known_to(here) == known_to(there) == union


@settings(deadline=None, max_examples=40)
@given(first=KNOWN, second=KNOWN, bits=st.integers(0, 6))
def test_deltas_against_digests_do_the_same_in_one_step_each(
    first: set[int], second: set[int], bits: int
) -> None:
    here, there = Replica(log_of(chosen(first))), Replica(log_of(chosen(second)))
    to_here = there.delta(here.digest(bits=bits))
    to_there = here.delta(there.digest(bits=bits))
    here.merge(to_here)
    there.merge(to_there)
    assert here.digest(bits=6) == there.digest(bits=6)
    assert there.delta(here.digest(bits=bits)) == Delta(-(2**53))


def test_one_may_only_fetch() -> None:
    here, there = log_of(WORLD[:3]), log_of(WORLD[2:])
    done = reconcile(Replica(here), Replica(there).answer, both_ways=False)
    assert known_to(here) == known_to(log_of(WORLD))
    assert known_to(there) == known_to(log_of(WORLD[2:]))
    assert (done.received, done.sent) == (len(WORLD) - 3, 0)


def test_tombstones_come_before_anything_else() -> None:
    here, there = DictLog(), log_of(WORLD)
    seen: list[set[str]] = []

    def ask(request: Request) -> Reply:
        seen.append({kind for kind, _ in here.records})
        return Replica(there).answer(request)

    reconcile(Replica(here), ask)
    first = next(at for at, kinds in enumerate(seen) if kinds)
    assert seen[first] == {"tombstone"}


# --- bytes ------------------------------------------------------------------------------------


def lacking(size: int, lack: int) -> tuple[Exchanged, int]:
    """Return what it took to find and fetch some of many records, and those records' bytes."""
    tries = [trajectory(f"{at}") for at in range(size)]
    spaced = set(range(0, size, size // lack)) if lack else set()
    here, there = DictLog(), DictLog()
    there.record_all((), tries)
    here.record_all((), [one for at, one in enumerate(tries) if at not in spaced])
    done = exchange(here, there)
    assert done.received == len(spaced) and not done.sent
    return done, sum(len(tries[at].to_bytes()) for at in spaced)


def test_equal_banks_exchange_next_to_nothing() -> None:
    done, _ = lacking(5_000, 0)
    assert done.messages == 1
    assert done.bytes_in + done.bytes_out < 150


@pytest.mark.parametrize(("lack", "most"), [(1, 2_500), (10, 15_000), (100, 80_000)])
def test_bytes_grow_with_the_difference(lack: int, most: int) -> None:
    for size in (1_000, 10_000):
        done, records = lacking(size, lack)
        assert done.bytes_in + done.bytes_out - records < most
        assert done.messages < 10


def test_no_message_is_large_however_much_there_is_to_say() -> None:
    there = DictLog()
    steps = ("step " * 400,)
    there.record_all((), [trajectory(f"{at}", steps=steps) for at in range(4_000)])
    here, largest = DictLog(), 0

    def ask(request: Request) -> Reply:
        nonlocal largest
        reply = other.answer(request)
        largest = max(largest, message_bytes(reply))
        return reply

    other = Replica(there)
    assert reconcile(Replica(here), ask).received == 4_000
    assert 2_000_000 < largest < 4_100_000


def test_more_epochs_than_fit_in_a_message_come_in_several() -> None:
    here, there = DictLog(), DictLog()
    there.record_all([experience(f"a{a}", e).seal() for a in range(3) for e in range(1, 200)])
    done = exchange(here, there)
    assert done.received == 3 * 199
    assert here.view() == there.view()


def test_epochs_are_sent_in_messages_of_bounded_size() -> None:
    there = DictLog()
    there.record_all(
        [random_experience(at, "a", at, rows=400, columns=9).seal() for at in range(1, 150)]
    )
    size = sum(len(one.blob) for one in there.sealed())
    first = Replica(there).epochs({})
    assert 3_000_000 < message_bytes(first) < 4_100_000 < size
    here = DictLog()
    assert exchange(here, there).received == 149


@pytest.mark.parametrize(("mine", "theirs"), [(400, 40), (40, 400), (300, 300)])
def test_banks_of_any_sizes_end_up_equal(mine: int, theirs: int) -> None:
    here, there = DictLog(), DictLog()
    here.record_all((), [trajectory(f"m{at}") for at in range(mine)])
    there.record_all((), [trajectory(f"t{at}") for at in range(theirs)])
    done = exchange(here, there)
    assert (done.received, done.sent) == (theirs, mine)
    assert Replica(here).digest(bits=6) == Replica(there).digest(bits=6)


# --- retention --------------------------------------------------------------------------------


def test_what_one_side_let_go_of_neither_comes_back_nor_is_sent() -> None:
    here, there = log_of(WORLD), log_of([])
    learn(there, [one for one in WORLD if not isinstance(one, Sealed)])
    here.let_go(2 * DAY_S)
    done = exchange(there, here)
    assert done.from_s == 2 * DAY_S + 1
    assert done.sent == 0
    assert ("trajectory", "t2") not in here.records
    assert ("trajectory", "t2") in there.records
    assert exchange(here, there).messages == 1


def test_old_tries_are_not_taken_from_who_still_has_them_but_what_lasts_is() -> None:
    here, there = DictLog(), log_of(WORLD)
    here.let_go(3 * DAY_S)
    exchange(here, there)
    tries = sorted(id_ for kind, id_ in here.records if kind == "trajectory")
    assert tries == ["t4", "t5"]
    assert sum(kind == "tombstone" for kind, _ in here.records) == 6
    assert sum(kind == "item" for kind, _ in here.records) == 6
    again = exchange(here, there)
    assert (again.received, again.sent, again.messages) == (0, 0, 1)


def test_a_delta_that_was_made_before_something_was_let_go_does_not_bring_it_back() -> None:
    log = log_of(WORLD)
    replica = Replica(log)
    late = replica.delta(Replica(DictLog()).digest())
    log.let_go(3 * DAY_S)
    before = known_to(log)
    assert replica.merge(late) == Accepted(0)
    assert known_to(log) == before


def test_what_is_said_of_tries_that_were_let_go_of_is_not_taken_either() -> None:
    log = DictLog()
    log.let_go(3 * DAY_S)
    notes = [annotation(kind, 2) for kind in ("verdict", "usage", "link")]
    learn(log, notes)
    assert [kind for kind, _ in log.records] == ["link"]


def test_a_digest_from_below_the_watermark_is_asked_for_anew() -> None:
    here, there = Replica(DictLog()), log_of(WORLD)
    there.let_go(3 * DAY_S)
    delta = Replica(there).delta(here.digest())
    assert delta.from_s == 3 * DAY_S + 1
    assert all(packet.kind in ("tombstone", "item", "link") for packet in delta.packets)
    here.merge(Replica(there).delta(here.digest(delta.from_s)))
    assert here.digest(delta.from_s) == Replica(there).digest()


def test_what_was_pruned_is_offered_once_and_not_again() -> None:
    here, there = log_of(WORLD), log_of(WORLD)
    replica, other = Replica(here), Replica(there)
    assert reconcile(replica, other.answer).messages == 1
    here.prune("mirror", 3 * DAY_S)
    # Known to have been here: no difference.
    assert reconcile(replica, other.answer).messages == 1
    # After a restart nobody knows; it comes, is turned down, and that is remembered.
    restarted = Replica(here)
    before = known_to(here)
    assert reconcile(restarted, other.answer).received == 0
    assert reconcile(restarted, other.answer).messages == 1
    assert known_to(here) == before
    # Who asks for it is not told that it can be had.
    third = Replica(DictLog())
    reconcile(third, restarted.answer)
    reconcile(third, other.answer)
    assert third.digest() == other.digest()


# --- who is believed --------------------------------------------------------------------------


def test_a_record_with_another_content_is_refused_by_name_and_the_rest_goes_on() -> None:
    here, there = log_of([trajectory("x"), trajectory("mine")]), log_of([])
    learn(there, [trajectory("x", excess=0.5), trajectory("theirs")])
    done = exchange(here, there)
    assert done.refused == ("trajectory x",)
    assert (done.received, done.sent) == (1, 1)
    assert here.records["trajectory", "x"] == trajectory("x")
    assert there.records["trajectory", "x"] == trajectory("x", excess=0.5)


def test_of_agents_whose_epochs_differ_nothing_is_taken() -> None:
    def told(excess: float, epochs: int) -> list[Sealed]:
        return [experience("a", at, excess=[[excess, 0.0]]).seal() for at in range(1, epochs + 1)]

    for mine, theirs in ((2, 3), (3, 2), (2, 2)):
        here, there = log_of([]), log_of([])
        learn(here, [*told(1.0, mine), experience("b", 1).seal()])
        learn(there, [*told(2.0, theirs), experience("c", 1).seal()])
        done = exchange(here, there)
        assert done.refused == ("agent a",)
        assert here.view() == {"a": mine, "b": 1, "c": 1}
        assert there.view() == {"a": theirs, "b": 1, "c": 1}


def test_a_delta_with_a_record_of_another_content_names_it() -> None:
    log = log_of([trajectory("x"), annotation("verdict", 1)])
    other = [trajectory("x", excess=0.5), Verdict("v1", "t1", "judge", -1, DAY_S)]
    packets = tuple(Packet(kind_of(one), one.to_bytes()) for one in (*other, trajectory("y")))
    done = Replica(log).merge(Delta(0, packets=packets))
    assert done == Accepted(1, ("trajectory x", "verdict v1"))


def test_an_experience_that_says_another_thing_outside_is_refused() -> None:
    log = DictLog()
    for change in ({"known_at_s": 0}, {"epoch": 1, "agent": "b"}, {"task_type": "fetch"}):
        sealed = dataclasses.replace(experience("a", 1).seal(), **change)
        with pytest.raises(ValueError, match="says another thing outside"):
            Replica(log).merge(Delta(0, (sealed,)))
    assert log.commits == 0


def answering(change: Callable[[Request, Reply], Reply]) -> Callable[[Request], Reply]:
    other = Replica(log_of(WORLD))
    return lambda request: change(request, other.answer(request))


def swapped(request: Request, reply: Reply) -> Reply:
    if isinstance(request, Fetch) and isinstance(reply, Delta):
        body = trajectory("never asked for").to_bytes()
        return dataclasses.replace(reply, packets=(Packet("trajectory", body),))
    return reply


def spoilt(request: Request, reply: Reply) -> Reply:
    if isinstance(request, Fetch) and isinstance(reply, Delta):
        first = reply.packets[0]
        return dataclasses.replace(reply, packets=(Packet(first.kind, first.body[:-1]),))
    return reply


def other_kind(request: Request, reply: Reply) -> Reply:
    return Accepted(0) if isinstance(request, Split) else reply


def cut(request: Request, reply: Reply) -> Reply:
    if isinstance(reply, Parts):
        return dataclasses.replace(reply, elements=reply.elements[:-3], sums=b"\0")
    return reply


def endless(request: Request, reply: Reply) -> Reply:
    if isinstance(request, Split):
        count = len(request.prefixes) // 8
        return Parts(bytes(count), b"\1" * (20 * 16 * count), b"")
    return reply


@pytest.mark.parametrize("change", [swapped, spoilt, other_kind, cut, endless])
def test_a_peer_that_answers_nonsense_is_recognised(
    change: Callable[[Request, Reply], Reply],
) -> None:
    log = log_of(WORLD[:2])
    with pytest.raises(ValueError, match=r"not asked for|arrays|bytes|reply to Split|without end"):
        reconcile(Replica(log), answering(change))
    assert known_to(log) <= known_to(log_of(WORLD))


@pytest.mark.parametrize(
    "packet",
    [
        Packet("trajectory", b""),
        Packet("trajectory", trajectory("x").to_bytes().replace(b":1.0", b":1.00")),
        Packet("verdict", trajectory("x").to_bytes()),
        Packet("gossip", trajectory("x").to_bytes()),
    ],
)
def test_of_a_delta_with_a_malformed_record_nothing_is_taken(packet: Packet) -> None:
    log = DictLog()
    good = Packet("trajectory", trajectory("y").to_bytes())
    with pytest.raises(ValueError):
        Replica(log).merge(Delta(0, packets=(good, packet)))
    assert log.commits == 0


def test_requests_that_are_too_large_or_nonsense_are_refused() -> None:
    replica = Replica(log_of(WORLD))
    for request in (
        Hello(0, bits=13),
        Split("passing", 0, 65, bytes(8)),
        Split("passing", 0, 4, bytes(9)),
        Split("passing", 0, 4, bytes(8 * 5_000)),
        Split("everything", 0, 4, bytes(8)),  # type: ignore[arg-type]
        Fetch("passing", 0, bytes(16 * 5_000)),
    ):
        with pytest.raises(ValueError):
            replica.answer(request)


# --- the sums ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), cuts=st.lists(st.integers(1, 400), max_size=12))
def test_sums_do_not_depend_on_how_the_records_came(seed: int, cuts: list[int]) -> None:
    tries = [trajectory(f"{at}", known_at_s=at) for at in range(300)]
    log = DictLog()
    log.record_all((), tries)
    whole = Replica(log)
    waiting = list(tries)
    random.Random(seed).shuffle(waiting)
    parts = DictLog()
    replica = Replica(parts)
    for count in [*cuts, len(waiting)]:
        parts.record_all((), waiting[:count])
        waiting = waiting[count:]
        replica.digest()
    for from_s in (0, 150, 299, 300):
        assert replica.digest(from_s, bits=5) == whole.digest(from_s, bits=5)
    for left, right in ((0, 150), (150, 151)):
        assert whole.digest(left) != whole.digest(right)
