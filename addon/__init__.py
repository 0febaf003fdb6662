"""Capture: mitmproxy's hooks, and what they read out of the bytes that pass."""
