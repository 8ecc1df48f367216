"""What is recorded, and what names it: tries, annotations, contexts, patterns. Pure.

``trajectory`` (one try), ``annotations`` (verdicts, items, usage, links, tombstones),
``contexts`` and ``pattern`` (which contexts are the same), ``lines`` (tries as JSON). Below
everything else.
"""
