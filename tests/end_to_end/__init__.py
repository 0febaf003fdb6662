"""Tests with a real mitmdump between a client and a provider."""
