"""Contexts as vectors, and the nearest of them.

``embedding`` (with ``text_hashing`` or a sentence model, ``sentences``), ``index`` (exact, then
approximate by ``signs`` with a recall ``guard``; ``file`` and ``snapshot`` keep it), ``nearness``
(how much a near context counts). Above: ``state``. Below: ``records``.
"""
