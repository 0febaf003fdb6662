"""The proxy's measurements, shown without a key or a network: `make demo`. The end-to-end tests use the same parts."""
