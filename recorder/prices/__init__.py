"""Prices: what a stored call costs, by list prices and by the user's own."""
