"""The shell on Ray: the only place that imports ray.

``swarm`` is the handle that a driver holds; ``coordinator``, ``trading_agent`` and
``reasoning_bank`` are the actors, each a plain class that runs a pure machine's effects. Beside:
``swarm_runtime.simulator``, which does the same in one process.
"""
