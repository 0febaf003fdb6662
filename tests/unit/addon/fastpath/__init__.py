"""Tests of addon/fastpath."""
