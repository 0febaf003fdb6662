"""Tests of status, check and import."""
