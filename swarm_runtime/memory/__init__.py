"""The ReasoningBank: outcomes in, recommendations out. Knows nothing of trading or of swarms.

Pure: ``pattern`` (what a pattern is), ``embedding``, ``ranking`` (statistics, confidence, choice),
``safla`` (the loop in five functions). With I/O: ``store`` (SQLite, the truth), ``index`` (FAISS,
derived), ``bank`` (the facade users hold).
"""
