"""Others' books beside ours: the session logs that agents write, and the usage and cost that providers export.

Both are only read, and of them nothing is kept but times, identifiers of requests and sessions, names of models and
keys, and counts. Each shape stands in a file of its own, as data.
"""
