"""The pure core: knowledge that merges, messages, seeded choice, the topology protocol.

Nothing here reads a clock, draws a random number of its own or touches a file; all of it works on
one laptop process and in any actor alike.
"""
