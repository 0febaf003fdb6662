"""The schema: checked, migrated and repaired before anything is written."""
