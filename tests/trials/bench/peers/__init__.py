"""Systems that need more than the project has: other proxies, another Python, a patched mitmproxy.

Each is prepared in an environment of its own below `.bench/`, and is left out where it cannot be had.
"""
