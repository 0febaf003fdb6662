"""Destinations of exports, and exports that are followed."""
