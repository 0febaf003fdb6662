"""Tests of `llm-top`, `llm-report` and the plugin."""
