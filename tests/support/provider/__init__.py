"""The fake provider: what it is told to answer, and answers in the formats of real ones."""
