"""Clients, really tried: each program in an environment of its own, through a real mitmdump: `make clients`."""
