"""Tests of the parts, in folders as the code has them."""
