"""Conversations through a real proxy, some of whose caches are broken on purpose: what the view finds of them."""
