"""The ReasoningBank: outcomes in, recommendations out. Knows nothing of trading or of swarms.

Users hold ``bank`` (with ``upkeep``, ``insight``, ``exchange`` for what is done more rarely).
Below it, each a package: ``travel`` (between banks), ``state`` (derived from the log), ``choice``
(what to do), ``trust`` (whom to believe), ``distilling`` (what is worth knowing), ``vectors``
(what is near), ``log`` (the truth), ``records`` (what is recorded).
"""
