"""Tests of the programs in tests/trials."""
