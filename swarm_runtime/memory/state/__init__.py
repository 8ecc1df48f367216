"""What is derived from the log and answered from: it can be thrown away at any time.

``derived`` keeps it in step with the log. ``catalogue`` (contexts of any kind, in ``tables`` of
``columns``) and ``space_ledger`` (cells of a declared space) count what is known at a moment;
``recall``, ``search``, ``shelf`` and ``standing`` read it; ``drift``, ``beliefs`` and ``hearsay``
follow it; ``snapshots`` keep it for the next start. Above: ``bank``. Below: all other packages.
"""
