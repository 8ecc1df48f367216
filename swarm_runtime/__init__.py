"""Trading agents that learn from each other: a swarm runtime on Ray."""

__version__ = "0.1.0"
