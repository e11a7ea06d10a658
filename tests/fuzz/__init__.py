"""Fuzzing: what the node does with bytes that nobody meant to send.

Every input is made from the name of its target, a seed and a number, so that each can be made again. Targets run in
processes of their own, which are watched: one that ends or hangs has found something, whatever language it died in.

    python -m tests.fuzz                       every target, a short while each
    python -m tests.fuzz headers --inputs 1000000 --seed 7
"""
