"""Tests of addon/ without what reads traffic."""
