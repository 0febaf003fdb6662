"""Programs that try the product for longer than a test may take, each with a `make` target."""
