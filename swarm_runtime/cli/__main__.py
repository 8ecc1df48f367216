"""``python -m swarm_runtime.cli``, for where there is no entry point: in a job's folder."""

from swarm_runtime.cli import main

main()
