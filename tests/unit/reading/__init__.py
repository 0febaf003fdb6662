"""Tests of what reads the traffic."""
