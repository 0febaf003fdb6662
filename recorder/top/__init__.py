"""`sqlite-utils llm-top`: the calls of the last minutes as a table."""
