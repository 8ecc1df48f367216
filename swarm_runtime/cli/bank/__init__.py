"""Commands of the memory alone: ``swarm bank ...``. Thin over ``memory.bank``.

``questions`` change nothing; ``changes`` record, revoke and forget; ``files`` keep the file safe,
``exchange`` carries knowledge from one bank to another. ``arguments`` and
``lookups`` say what the user meant, ``words`` what the bank answered.
"""

from __future__ import annotations

from swarm_runtime.cli.bank import changes, exchange, files, questions
from swarm_runtime.cli.bank.group import app

__all__ = ["app", "changes", "exchange", "files", "questions"]
