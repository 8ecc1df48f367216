"""Whom and what to believe. Pure.

``agents`` (weights, and discounts between domains) from ``reports`` in ``neighbourhoods``, put
together by ``assessment``; ``credit`` (what knowledge was worth to those who were given it).
Above: ``state``, ``insight``. Below: ``records``.
"""
