"""The costs of the proxy, measured on the loopback interface beside mitmproxy alone and other ways: `make bench`."""
