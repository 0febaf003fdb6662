"""The live page: Datasette with a page of charts, in a venv of its own (`make dashboard`). It only reads."""
