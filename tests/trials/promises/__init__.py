"""The promises of the pages, the trials and tests that prove each, and docs/promises.md, which shows both.

`promises.toml` is the data. To add a promise, add its lines there.
"""
