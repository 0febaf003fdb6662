"""Made-up calls that look like real traffic, for databases of any size."""
