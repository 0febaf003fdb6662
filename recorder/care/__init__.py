"""Care: how the recording goes, what is wrong with a database, and how foreign rows get in."""
