"""Tests of `llm-metrics doctor` and `env`."""
