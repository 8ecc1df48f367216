"""The catalogue counts what is known and not revoked, in whatever order it came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.memory.log.protocol import FoldedRow
from swarm_runtime.memory.records.annotations import ALWAYS, Tombstone, Verdict
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.recall import recall
from swarm_runtime.memory.state.snapshot import freeze, read_snapshot, thaw, write_snapshot
from swarm_runtime.memory.state.tables import FULL_TRUST
from swarm_runtime.memory.vectors.embedding import Embedder
from swarm_runtime.memory.vectors.index import VectorIndex
from tests.experiences import trajectory

DIMENSION = 128
READER = ContextReader()
Said = Trajectory | Verdict | Tombstone | FoldedRow
Known = dict[str, tuple[int, ...]]


def empty() -> Catalogue:
    return Catalogue(Embedder(DIMENSION), READER, VectorIndex(DIMENSION))


def told(catalogue: Catalogue, said: Sequence[Said]) -> Catalogue:
    for one in said:
        if isinstance(one, Verdict):
            catalogue.judge([one])
        elif isinstance(one, Tombstone):
            catalogue.revoke([one])
        else:
            catalogue.offer([one])
    return catalogue


def counted(catalogue: Catalogue) -> Known:
    """What a catalogue counts, by pattern: its counters and when the newest was known."""
    patterns = catalogue.patterns
    return {
        catalogue.id_of(row): (
            *(int(n) // FULL_TRUST for n in patterns.counters.rows[row]),
            int(patterns.newest_s.rows[row]),
        )
        for row in range(len(patterns.place))
        if patterns.counters.rows[row, 0]
    }


def expected(said: Sequence[Said], moment_s: int) -> Known:
    """The same, by reading everything once, without any state."""
    revoked: dict[tuple[str, str], int] = {}
    for one in said:
        if isinstance(one, Tombstone):
            key = (one.target_kind, one.target)
            revoked[key] = min(revoked.get(key, one.from_s), one.from_s)
    verdicts = sorted(
        {one for one in said if isinstance(one, Verdict) and one.known_at_s <= moment_s},
        key=lambda one: (one.known_at_s, one.id),
    )
    found: Known = {}
    for one in said:
        if not isinstance(one, Trajectory) or one.known_at_s > moment_s:
            continue
        id_ = pattern_of(one)
        names = [("agent", one.agent), ("trajectory", one.id), ("pattern", id_)]
        if any(revoked.get(name, 2**62) <= moment_s for name in names):
            continue
        verdict, excess = one.verdict, one.excess_units
        for later in verdicts:
            if later.trajectory == one.id:
                verdict = later.verdict
                excess = excess if later.excess is None else round(later.excess * 1000)
        new = (1, int(verdict > 0), int(verdict < 0), excess, excess**2)
        *sums, newest = found.get(id_, (0, 0, 0, 0, 0, -(2**62)))
        found[id_] = (
            *(a + b for a, b in zip(sums, new, strict=True)),
            max(newest, one.known_at_s),
        )
    return found


def pattern_of(one: Trajectory) -> str:
    catalogue = told(empty(), [one])
    return catalogue.id_of(0)


TRIES = [
    trajectory(
        f"t{at}",
        agent=f"agent {at % 3}",
        approach=f"p{at % 2}",
        context={"site": f"shop {at % 4}"},
        known_at_s=10 * at,
        excess=(-1.0) ** at * at / 4,
        verdict=(at % 3) - 1,
    )
    for at in range(12)
]
PATTERNS = sorted({pattern_of(one) for one in TRIES})


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    """Tries, later verdicts on them, and revocations, in any order."""
    said: list[Said] = list(
        draw(st.lists(st.sampled_from(TRIES), unique_by=lambda one: one.id, max_size=12))
    )
    moments = st.integers(-10, 140)
    for at in range(draw(st.integers(0, 4))):
        excess = draw(st.sampled_from([None, 0.5, -2.0]))
        target = draw(st.integers(0, 11))
        said.append(Verdict(f"v{at}", f"t{target}", "judge", at % 3 - 1, draw(moments), excess))
    for at in range(draw(st.integers(0, 3))):
        kind, target = draw(
            st.sampled_from(
                [("agent", "agent 1"), ("trajectory", "t4"), *[("pattern", p) for p in PATTERNS]]
            )
        )
        from_s = draw(st.one_of(st.just(ALWAYS), moments))
        said.append(Tombstone(kind, target, "", "warden", at, from_s))
    return draw(st.permutations(said))


@given(histories(), st.lists(st.integers(-10, 140), min_size=1, max_size=5))
def test_it_counts_what_reading_everything_anew_would(said: list[Said], moments: list[int]) -> None:
    catalogue = empty()
    for at, one in enumerate(said):
        catalogue.advance(moments[at % len(moments)])
        told(catalogue, [one])
    for moment_s in moments:
        catalogue.advance(moment_s)
        assert counted(catalogue) == expected(said, moment_s)


@given(histories(), st.integers(-10, 140), st.integers(-10, 140))
def test_a_snapshot_goes_on_as_if_nothing_had_happened(
    said: list[Said], first_s: int, then_s: int
) -> None:
    whole, half = empty(), empty()
    middle = len(said) // 2
    for one in (whole, half):
        one.advance(first_s)
    told(whole, said)
    told(half, said[:middle])
    again = empty()
    if len(half.cells):
        again.index.add(half.index.vectors(np.arange(len(half.cells))))
    thaw(freeze(half), again)
    told(again, said[middle:])
    for moment_s in (first_s, then_s):
        whole.advance(moment_s)
        again.advance(moment_s)
        assert counted(again) == counted(whole)


def test_a_snapshot_that_is_torn_or_changed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.bin"
    assert read_snapshot(path) is None
    write_snapshot(path, freeze(told(empty(), TRIES)))
    state = read_snapshot(path)
    assert state is not None and len(state["cells"])
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:40], b"", whole[:50] + b"\xff" + whole[51:]):
        path.write_bytes(broken)
        assert read_snapshot(path) is None


def test_a_snapshot_does_not_fit_an_index_of_other_contexts() -> None:
    with pytest.raises(ValueError, match="vectors"):
        thaw(freeze(told(empty(), TRIES)), empty())


@given(st.permutations(TRIES), st.integers(1, 5))
def test_the_order_of_arrival_does_not_show_in_what_is_recalled(
    tries: list[Trajectory], size: int
) -> None:
    one, other = empty(), empty()
    one.offer(TRIES)
    for start in range(0, len(tries), size):
        other.offer(tries[start : start + size])
    query = Embedder(DIMENSION).embed({"site": "shop 2"})
    answers = []
    for catalogue in (one, other):
        catalogue.advance(70)
        found = recall(catalogue, query, "fetch", ["p0", "p1"], None)
        answers.append((found.similarity.tolist(), found.statistics.counters.tolist()))
    assert answers[0] == answers[1]


def test_trust_weighs_what_an_agent_found_and_not_what_others_did() -> None:
    catalogue = told(empty(), [trajectory("a", agent="honest"), trajectory("b", agent="liar")])
    catalogue.advance(10**9)
    catalogue.set_trust(np.array([16, 4]))
    assert catalogue.patterns.counters.rows[0, 0] == 20
    told(catalogue, [trajectory("c", agent="liar")])
    assert catalogue.patterns.counters.rows[0, 0] == 24
    catalogue.set_trust(np.array([16, 0]))
    assert catalogue.patterns.counters.rows[0, 0] == 16
    catalogue.set_trust(np.array([16, 16]))
    assert catalogue.patterns.counters.rows[0, 0] == 48


def test_what_retention_folded_counts_from_its_last_outcome_on() -> None:
    cell = READER.cell({"site": "shop"})
    row = FoldedRow("", "fetch", "mirror", cell, "me", 5, 3, 1, 2_000, 900_000, 10, 50)
    catalogue = told(empty(), [row, trajectory("t", context={"site": "shop"}, known_at_s=60)])
    catalogue.advance(40)
    assert counted(catalogue) == {}
    catalogue.advance(60)
    ((*sums, newest_s),) = counted(catalogue).values()
    assert (sums, newest_s) == ([6, 4, 1, 3_000, 1_900_000], 60)


def test_an_unknown_pattern_or_agent_may_be_revoked_before_it_is_known() -> None:
    id_ = pattern_of(TRIES[0])
    catalogue = told(
        empty(),
        [
            Tombstone("pattern", id_, "", "warden", 0),
            Tombstone("pattern", "no id at all", "", "warden", 0),
            Tombstone("agent", "agent 1", "", "warden", 0),
            *TRIES,
        ],
    )
    catalogue.advance(10**6)
    agents = {
        agent for row in range(len(catalogue.patterns.place)) for agent in catalogue.agents_of(row)
    }
    assert id_ not in counted(catalogue)
    assert agents == {"agent 0", "agent 2"}
