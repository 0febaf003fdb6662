"""A provider, a proxy, clients and certificates for tests, trials and the demo."""
