"""Tests of retention and daily maintenance."""
