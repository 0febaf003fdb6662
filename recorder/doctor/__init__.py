"""Why no rows come: checks of what lies between a program and the database, each with what to do about it.

Nothing is said that was not tried: clients that are installed are really run, and what could not be tried says so.
"""
