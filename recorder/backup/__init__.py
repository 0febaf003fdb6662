"""Backups: verified copies of the database, where they stand, and which of them may go."""
