"""Coding agents, really tried: a tool that they run, an answer that is broken off, a compaction."""
