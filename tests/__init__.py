"""Tests, what they share, and the programs that try the product for longer."""
