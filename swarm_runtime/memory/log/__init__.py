"""The truth: an append-only log of records in a SQLite file.

``protocol`` says what a log must do, ``store`` does it. Behind it: ``files`` (the file, its
faults), ``migrations``, ``recording``, ``rows``, ``seals``, ``retention`` with ``folding`` and
``filing``, ``backups``, ``verification``, ``group_store`` (several callers, one commit),
``deltas`` (what logs send each other). Above: ``state`` follows it. Below: ``records``.
"""
