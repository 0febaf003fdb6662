"""Both ends of a connection through the proxy, in a test's own hands."""
