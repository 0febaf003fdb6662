"""What the proxy costs, measured on the loopback interface beside mitmproxy alone and other ways: `make bench`."""
