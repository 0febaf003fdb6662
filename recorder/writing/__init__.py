"""Writing: what the addon submitted becomes rows, or waits in files while the database refuses it."""
