"""Many hosts, one server: sidecars that record real traffic and export it while everything that can fail does.

`python -m tests.trials.fleet` is the trial, tests/trials/fleet/__main__.py says what can be chosen.
"""
