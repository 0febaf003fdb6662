"""Real receivers of OTLP, each from its package in an environment of its own, and what they show of a traced call."""
