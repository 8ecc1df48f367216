"""Counter-based randomness: a draw is a function of what it is for, never of when it is made.

Every random choice names itself by integers (seed, purpose, agent, round, ...), so runs with
memory on and off are paired draw by draw, and a replayed round draws the same numbers. Philox is
NumPy's counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC'11).
"""

from __future__ import annotations

import enum
import functools
import hashlib

import numpy as np
import numpy.typing as npt

__all__ = ["Purpose", "draws"]


class Purpose(enum.IntEnum):
    """What a draw is for; part of its name, so that no two uses share a number."""

    #: Which candidate an agent takes when it has nothing to go by, for n subjects; then, from
    #: draw n on, whether a recommendation is withheld.
    CHOOSE = 1
    #: Who talks to whom in a hop.
    PARTNER = 2


def draws(
    seed: int, purpose: Purpose, name: str, counters: tuple[int, int], count: int
) -> npt.NDArray[np.float64]:
    """Return ``count`` uniform draws in [0, 1) that depend on the arguments alone.

    Parameters
    ----------
    seed : int (0 <= seed < 2**32)
    purpose : Purpose
    name : str
        Whose draw it is, e.g. an agent's id.
    counters : tuple of two int (>= 0)
        For instance (round, hop).
    count : int

    Returns
    -------
    ndarray of float64, shape (count,)
        The first m draws are the same for every ``count`` >= m.
    """
    first, second = counters
    bits = np.random.Philox(
        key=np.array([seed | (int(purpose) << 32), _owner(name)], dtype=np.uint64),
        counter=np.array([0, first, second, 0], dtype=np.uint64),
    )
    # The upper 53 bits as a fraction, as NumPy's own generator does it.
    return np.asarray((bits.random_raw(count) >> np.uint64(11)) * 2.0**-53)


@functools.lru_cache(maxsize=4_096)
def _owner(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
