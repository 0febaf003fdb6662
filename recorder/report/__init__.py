"""`sqlite-utils llm-report`: the figures of some days as one HTML page that needs nothing else, made to be mailed.

`content` reads them, `charts` draws (with `scale`), `page` puts all of it into `page.html`, `output` writes the file.
"""
