"""Fault tests of the storage: what tests/ shows in seconds, here with many rounds, real disks and real kills.

`python -m torture` runs all of them, `python -m torture T3 T9` some; `make torture` is the first.
"""
