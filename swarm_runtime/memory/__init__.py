"""The ReasoningBank: outcomes in, recommendations out. Knows nothing of trading or of swarms.

Pure: ``pattern`` (what a pattern is), ``trajectory`` (one try), ``contexts`` and ``embedding``
(which contexts are the same, which are near), ``ranking`` (statistics, confidence, choice),
``safla`` (the loop in five functions), ``patterns`` and ``recommendation`` (what people read),
``space_ledger`` (statistics of a declared space). With I/O or FAISS: ``store`` with ``migrations``
(SQLite, the truth), ``index`` and ``open_ledger`` (near contexts of any kind), ``derived`` (what
follows the log), ``bank`` (the facade users hold).
"""
