"""The same bytes through two proxies, one with `metrics_include_usage` and one without: both ends see the same.

kinds.py draws what is sent, wires.py sends it and keeps what comes, comparison.py knows what may differ, trial.py runs
it all.
"""
