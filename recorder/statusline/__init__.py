"""One line for a prompt: what a session, the day and the month cost, and how far a plan is used.

A prompt starts the command anew for each line, so what is imported decides how long it takes: here that is `os`, `sys`,
`time` and `sqlite3`, and of our own nothing but these files and the database's path. That is why dates are texts,
options are looked at by hand, and JSON is read by SQLite.
"""
