"""The embedding: near contexts have near vectors, and the kernel of cells is the same geometry."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.choice.ranking import SIMILARITY_SCALE
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import ContextSpace, FeatureBins
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.vectors.embedding import (
    SPACE_FLOOR,
    Embedder,
    cell_similarity,
    similarity_weight,
)
from tests.experiences import SPACE

FIVE = ContextSpace(
    tuple(FeatureBins(f"f{at}", (-1.0, 1.0), ("low", "mid", "high")) for at in range(5))
)
VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.text()
CONTEXTS = st.dictionaries(st.sampled_from(["trend", "size", "site", "task"]), VALUES)


def cosine(first: Context, second: Context, embedder: Embedder | None = None) -> float:
    by = embedder or Embedder()
    return float(by.embed(first).astype(float) @ by.embed(second).astype(float))


@settings(deadline=None)
@given(CONTEXTS, st.sampled_from([68, 256, 1024]))
def test_every_vector_has_length_one(context: dict[str, float | str], dimension: int) -> None:
    vector = Embedder(dimension, SPACE).embed(context)
    assert vector.shape == (dimension,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)


@settings(deadline=None)
@given(CONTEXTS)
def test_the_order_of_features_does_not_matter(context: dict[str, float | str]) -> None:
    backwards = dict(reversed(context.items()))
    np.testing.assert_array_equal(Embedder().embed(context), Embedder().embed(backwards))


@given(st.lists(CONTEXTS, max_size=8), st.sampled_from([68, 1024]))
def test_many_contexts_are_embedded_as_each_of_them_to_the_bit(
    contexts: list[Context], dimension: int
) -> None:
    embedder = Embedder(dimension, SPACE)
    many = embedder.embed_many(contexts)
    assert many.shape == (len(contexts), dimension)
    assert many.dtype == np.float32
    for context, vector in zip(contexts, many, strict=True):
        assert vector.tobytes() == Embedder(dimension, SPACE).embed(context).tobytes()


def test_a_batch_of_any_size_is_embedded_as_its_contexts() -> None:
    contexts: list[Context] = [
        {"task": f"text number {at} " + "long " * (at % 7), "x": float(at), "y": "z" * (at % 3)}
        for at in range(150)
    ]
    many = Embedder().embed_many(contexts)
    for at in (0, 63, 64, 127, 128, 149):
        assert many[at].tobytes() == Embedder().embed(contexts[at]).tobytes()


def test_an_embedding_is_what_it_was_in_earlier_versions() -> None:
    vector = Embedder(128, SPACE).embed({"trend": 0.0, "size": 12.0, "task": "Scrape the table"})
    # Which coordinates, and with which sign: what hashing decides.
    signs = np.sign(vector).astype(np.int8).tobytes()
    assert hashlib.sha256(signs).hexdigest()[:16] == "7b3e3b5bdf4ccf5b"
    assert vector[[0, 1]] == pytest.approx([0.5**0.5 / 3**0.5] * 2, abs=0.05)


def test_a_plural_is_near_and_another_word_is_far() -> None:
    near = cosine({"task": "breakout"}, {"task": "breakouts"})
    far = cosine({"task": "breakout"}, {"task": "pairs"})
    assert near > 0.4
    assert abs(far) < 0.15


def test_a_reworded_task_is_nearer_than_another_one() -> None:
    asked = {"task": "scrape the product table of a shop"}
    reworded = cosine(asked, {"task": "scrape product tables from shops"})
    other = cosine(asked, {"task": "migrate the database schema to version 4"})
    assert reworded > 0.35 > 0.15 > abs(other)


def test_case_and_white_space_make_no_difference() -> None:
    assert cosine({"task": "Scrape  TABLE"}, {"task": "scrape table"}) == pytest.approx(1.0)


def test_the_same_text_of_another_feature_is_another_thing() -> None:
    assert abs(cosine({"task": "scrape"}, {"site": "scrape"})) < 0.15


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-1, -1e6])
def test_undeclared_numbers_are_the_farther_the_larger_their_ratio(scale: float) -> None:
    steps = [cosine({"x": scale}, {"x": scale * ratio}) for ratio in (1.0, 1.1, 2.0, 4.0, 10.0)]
    assert steps == sorted(steps, reverse=True)
    assert steps[1] > 0.99
    assert steps[2] == pytest.approx(0.9, abs=0.05)
    assert steps[4] == pytest.approx(0.3, abs=0.1)


def test_numbers_of_opposite_sign_are_far_unless_both_are_nearly_zero() -> None:
    assert cosine({"x": 1.0}, {"x": -1.0}) < 0.2
    assert cosine({"x": 1e-4}, {"x": -1e-4}) > 0.95


def test_every_feature_counts_alike_whatever_its_kind() -> None:
    whole: Context = {"trend": 0.0, "size": 10.0, "site": "example.org"}
    embedder = Embedder(1024, SPACE)
    for name in whole:
        changed: Context = {**whole, name: 1e9 if name != "site" else "somewhere else"}
        alone = cosine({name: whole[name]}, {name: changed[name]}, embedder)
        assert cosine(whole, changed, embedder) == pytest.approx((2.0 + alone) / 3.0, abs=0.06)


def test_a_dimension_that_leaves_nothing_to_hash_into_is_refused() -> None:
    Embedder(68, SPACE)
    with pytest.raises(ValueError, match="dimension = 67: at least 68"):
        Embedder(67, SPACE)


# --- the kernel of cells ---------------------------------------------------------------------


@pytest.mark.parametrize("space", [SPACE, FIVE])
def test_the_kernel_is_symmetric_whole_and_full_on_the_diagonal(space: ContextSpace) -> None:
    kernel = cell_similarity(space)
    assert kernel.dtype == np.float64
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_array_equal(kernel, np.rint(kernel))
    np.testing.assert_array_equal(np.diag(kernel), SIMILARITY_SCALE)
    assert kernel.min() >= 0.0
    assert kernel.max() == SIMILARITY_SCALE


def test_the_kernel_weighs_neighbours_as_documented() -> None:
    kernel = cell_similarity(FIVE) / SIMILARITY_SCALE
    one, two, three = 1, 1 + 3, 1 + 3 + 9
    assert kernel[0, one] == pytest.approx(0.61, abs=0.01)
    assert kernel[0, two] == pytest.approx(0.22, abs=0.01)
    assert kernel[0, three] == 0.0
    assert kernel[0, 2] == 0.0


def test_the_kernel_is_the_cosine_of_the_embeddings_of_the_cells() -> None:
    kernel, embedder, reader = cell_similarity(FIVE), Embedder(74, FIVE), ContextReader(FIVE)
    contexts = [reader.centre(reader.numbered(cell)) for cell in range(0, 243, 11)]
    vectors = np.array([embedder.embed(context) for context in contexts], dtype=np.float64)
    for row, first in enumerate(range(0, 243, 11)):
        for column, second in enumerate(range(0, 243, 11)):
            cosines = round(float(vectors[row] @ vectors[column]), 6)
            assert similarity_weight(cosines, SPACE_FLOOR) == kernel[first, second]


def test_a_space_of_too_many_cells_is_refused() -> None:
    space = ContextSpace(
        FIVE.features + tuple(FeatureBins(f"g{at}", (0.0,), ("low", "high")) for at in range(5))
    )
    with pytest.raises(ValueError, match="7776 cells: at most 4096"):
        cell_similarity(space)


def test_weights_run_from_the_floor_to_one() -> None:
    assert [similarity_weight(cos, 0.5) for cos in (-1.0, 0.5, 0.75, 1.0, 1.0000001)] == [
        0,
        0,
        32,
        64,
        64,
    ]
