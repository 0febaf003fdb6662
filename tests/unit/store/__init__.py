"""Tests of the file, its schema and the DAO."""
