"""The steps of the server's schema, as SQL; ../schema.py runs them."""
