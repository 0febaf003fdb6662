"""Tests of what people read: README, docs and the live page."""
