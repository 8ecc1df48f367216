"""What an agent, a host of agents and a coordinator do: pure state machines.

``handle(event, now) -> list[Effect]``; the shells (``actors`` on Ray, ``simulator`` in one
process) run the effects. Built from ``memory``, ``judging``, ``trading`` and ``topologies``.
"""
