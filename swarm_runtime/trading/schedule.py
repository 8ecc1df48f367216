"""What a block wants, bar by bar: which target each lane acts on, and where it changes.

All of it but a drawdown stop is known before the block's first bar, so it is worked out at once
for all bars and the broker's loop only looks it up. Pure; ``kernel`` is above, nothing below.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Schedule"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ALL = slice(None)


class Schedule:
    """Targets of A accounts in S symbols over n bars, by lane (``symbol * A + account``).

    The target acted on stands while a symbol isn't tradable, so that a change waits for the next
    bar that is, and it is 0 while an account is paused.

    Parameters
    ----------
    targets : ndarray of float64, shape (A, n, S)
    last_target : ndarray of float64, shape (A, S)
        What was acted on before the block.
    tradable : ndarray of bool, shape (n, S)
    pause : ndarray of int64, shape (A,)
        Bars for which each account still is paused.
    max_position : ndarray of float64, shape (A,)

    Attributes
    ----------
    targets : ndarray of float64, shape (n, L)
        The target acted on.
    changed : ndarray of bool, shape (n, L)
        Whether it differs from that of the bar before.
    shares : ndarray of float64, shape (n, L)
        The fraction of equity it asks for, |target| / S, within ``max_position``.
    some_limited : bool
        Whether ``max_position`` cuts any of them.
    """

    def __init__(
        self,
        targets: Floats,
        last_target: Floats,
        tradable: Flags,
        pause: Integers,
        max_position: Floats,
    ) -> None:
        accounts, bars, symbols = targets.shape
        shape = (bars, symbols, accounts)
        self._raw = targets
        self._before = last_target.T
        self._max_position = max_position
        self._tradable = tradable[:, :, np.newaxis]
        self._closed = np.flatnonzero(~tradable.all(axis=1))
        self._targets = np.array(targets.transpose(1, 2, 0), order="C")
        self._changed = np.empty(shape, np.bool_)
        self._shares = np.empty(shape)
        for account in np.flatnonzero(pause):
            self._targets[: pause[account], :, account] = 0.0
        self._settle(0, _ALL)
        self.targets = self._targets.reshape(bars, -1)
        self.changed = self._changed.reshape(bars, -1)
        self.shares = self._shares.reshape(bars, -1)
        self.some_limited = bool((np.abs(targets) / symbols).max() > max_position.min())

    def pause(self, row: int, account: int, bars: int) -> None:
        """Flatten an account at bar ``row`` and keep it flat for so many bars."""
        self._targets[row:, :, account] = self._raw[account, row:]
        self._targets[row : row + bars, :, account] = 0.0
        self._settle(row, slice(account, account + 1))

    def _settle(self, row: int, accounts: slice) -> None:
        """Work out from ``row`` on what is acted on, where it changes, and its share of equity."""
        targets = self._targets[row:, :, accounts]
        before = self._targets[row - 1, :, accounts] if row else self._before[:, accounts]
        for closed in self._closed[self._closed >= row]:
            earlier = targets[closed - row - 1] if closed > row else before
            held = ~self._tradable[closed]
            np.copyto(targets[closed - row], earlier, where=held)
        changed = self._changed[row:, :, accounts]
        np.not_equal(targets[0], before, out=changed[0])
        np.not_equal(targets[1:], targets[:-1], out=changed[1:])
        np.minimum(
            np.abs(targets) / self._raw.shape[2],
            self._max_position[accounts],
            out=self._shares[row:, :, accounts],
        )
