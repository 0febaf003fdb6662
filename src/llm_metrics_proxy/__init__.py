"""The import package: `addon`, `recorder` and `migrations`, which stand at the top of the repository.

In a checkout they are links beside this file, in a wheel they are folders.
"""

__version__ = "0.2.0.dev0"
