"""Mixed calls of many users at once, for trials that run for a while."""
