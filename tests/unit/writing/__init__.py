"""Tests of the queue, the batches and the spill files."""
