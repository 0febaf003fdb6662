"""Tests of the roll-up, the views and percentiles."""
