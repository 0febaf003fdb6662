"""The store: the SQLite file, the ways to open it, and what stands beside it."""
