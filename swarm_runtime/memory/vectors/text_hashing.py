"""Texts as vectors, by hashing what they are made of. Pure.

A text's words and pairs of words, and its runs of three to five bytes, are each hashed to a
coordinate and a sign, and counted there (Weinberger et al., ICML 2009). Runs make "breakout" and
"breakouts" near, which whole words would not. It is exact on repeated wording and knows nothing of
meaning (``sentences`` does). A vector does not depend on the process, nor on which others it is
made with: what is summed is whole numbers, and each length is one scalar product.

Above: ``embedding``. Below: ``contexts``.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.records.contexts import normal_text

__all__ = ["hashed_texts", "lengths_of", "mixed", "scattered"]

Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

#: Share of a text's squared length that its words have; runs of bytes have the rest.
_WORD_SHARE = 0.4
_RUN_LENGTHS = (3, 4, 5)
_RUN_LENGTHS_COLUMN = np.array(_RUN_LENGTHS, dtype=np.uint64)[:, None]
#: For each byte of a run, the first of the lengths that still take one.
_UNFINISHED = tuple(sum(n <= at for n in _RUN_LENGTHS) for at in range(_RUN_LENGTHS[-1]))
#: What words and runs are multiplied by.
_SHARES = np.sqrt(np.array([_WORD_SHARE, 1.0 - _WORD_SHARE]))[:, None, None]
_PRIME = np.uint64(0x100000001B3)


def mixed(hashes: Hashes) -> Hashes:
    """Return hashes whose every bit depends on every bit (the finaliser of splitmix64)."""
    once = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    twice = (once ^ (once >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(twice ^ (twice >> np.uint64(31)), dtype=np.uint64)


def scattered(hashes: Hashes, offset: int, dimension: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return a coordinate from ``offset`` on, and a sign, for each hash."""
    places = (hashes % np.uint64(dimension - offset)).astype(np.intp) + offset
    return places, np.where(hashes >> np.uint64(63), 1.0, -1.0)


def lengths_of(rows: Floats) -> Floats:
    """Return the length of each row; one scalar product each, so others' rows don't matter."""
    return np.array([math.sqrt(float(row @ row)) for row in rows])


def hashed_texts(feature: str, texts: Sequence[str], offset: int, dimension: int) -> Floats:
    """Return the vectors of a feature's texts.

    Parameters
    ----------
    feature : str
        The same text of another feature is another thing.
    texts : sequence of str
    offset : int
        The first coordinate that is used.
    dimension : int

    Returns
    -------
    ndarray of float64, shape (len(texts), dimension)
        Of length one each, also for an empty text.
    """
    salt = (zlib.crc32(f"text {feature}".encode()) + 1) << 32 & 0xFFFFFFFFFFFFFFFF
    count, size = len(texts), dimension
    normal = [normal_text(text).encode() for text in texts]
    words = [_word_hashes(text) for text in normal]
    # With a space before and after it, so that a text's first and last bytes have runs too.
    lengths = [len(text) + 2 for text in normal]
    runs = _run_hashes(b" %b " % b"  ".join(normal))
    left = np.concatenate([np.arange(length, 0, -1) for length in lengths])
    whole = left >= _RUN_LENGTHS_COLUMN
    of_words = np.array(list(itertools.chain(*words)), dtype=np.uint64)
    hashes = np.concatenate([of_words ^ np.uint64(salt), runs[whole] ^ np.uint64(salt + 1)])
    places, signs = scattered(mixed(hashes), offset, dimension)
    # Counts of all texts' words first, then of all texts' runs.
    places[len(of_words) :] += count * size
    if count > 1:
        rows = np.arange(0, count * size, size)
        row_of_run = np.broadcast_to(np.repeat(rows, lengths), runs.shape)[whole]
        places += np.concatenate([np.repeat(rows, [len(some) for some in words]), row_of_run])
    counts = np.bincount(places, signs, minlength=2 * count * size)
    parts = counts.astype(np.float64, copy=False).reshape(2, count, size)
    squares = np.einsum("kij,kij->ki", parts, parts)  # exact: sums of whole numbers
    squares[squares == 0.0] = 1.0
    parts /= np.sqrt(squares)[:, :, None]
    parts *= _SHARES
    total = parts[0]
    total += parts[1]
    scale = lengths_of(total)
    if not scale.all():
        # An empty text is a text too: equal to other empty ones, unlike all others.
        place, sign = scattered(mixed(np.array([salt + 2], dtype=np.uint64)), offset, dimension)
        empty = np.flatnonzero(scale == 0.0)
        total[empty, place], scale[empty] = sign, 1.0
    return np.asarray(total / scale[:, None])


def _word_hashes(text: bytes) -> list[int]:
    """Return a hash of each word and each pair of words."""
    words = text.split(b" ") if text else []
    hashes = [zlib.crc32(word) for word in words]
    # A checksum can be carried on, so a pair costs its second word only.
    pairs = [zlib.crc32(b" " + words[at], hashes[at - 1]) for at in range(1, len(words))]
    return hashes + pairs


def _run_hashes(texts: bytes) -> npt.NDArray[np.uint64]:
    """Return a hash (FNV-1a) of each run of bytes: one row for each length, by first byte.

    Where the bytes end before the run does, the hash means nothing.
    """
    padded = np.frombuffer(texts + bytes(_RUN_LENGTHS[-1]), dtype=np.uint8).astype(np.uint64)
    hashes = np.empty((len(_RUN_LENGTHS), len(texts)), dtype=np.uint64)
    hashes[:] = _RUN_LENGTHS_COLUMN
    for offset, first in enumerate(_UNFINISHED):
        unfinished = hashes[first:]
        unfinished ^= padded[offset : offset + len(texts)]
        unfinished *= _PRIME
    return hashes
