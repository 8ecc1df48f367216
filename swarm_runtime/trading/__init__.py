"""Markets: bars and where they come from, strategies, the broker, risk limits and metrics.

Pure but for ``data`` (files) and ``registry`` (a user's strategy file). Knows nothing of agents,
memory or topologies; ``machines`` above puts them together.
"""
