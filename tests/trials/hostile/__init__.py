"""Hostile traffic, a hundred thousand exchanges of it: nobody is harmed, and no secret is kept. See __main__."""
