"""Storage: a queue, one writer thread, and the SQLite file that people query."""
