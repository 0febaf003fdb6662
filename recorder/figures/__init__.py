"""Figures: what calls add up to, from the roll-up and from the rows."""
