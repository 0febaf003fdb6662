"""Tests of how the product is installed, and of its images."""
