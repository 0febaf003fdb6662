"""Many hosts, one server: sidecars that record real traffic and export it while everything that can fail does.

`python -m fleet` is the trial, fleet/__main__.py says what can be chosen.
"""
