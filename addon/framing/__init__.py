"""Framing: the bytes of a body are decoded and become payloads."""
