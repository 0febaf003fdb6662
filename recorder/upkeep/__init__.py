"""Upkeep: retention, vacuum and daily maintenance, and the process that prices calls and adds them up."""
