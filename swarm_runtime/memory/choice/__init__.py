"""From what is known to what to do: statistics, confidence, policies. Pure.

``safla`` is the loop in five functions, ``ranking`` its arithmetic, ``policies`` choose,
``linear`` predicts, ``recommendation`` puts it into words. Above: ``state``, ``bank``, the agents
of a swarm. Below: ``records``.
"""
