"""Rows go beyond this machine: the database is the outbox, and exporters are processes of their own.

An exporter reads rows in the order of their ids, as outbox.py has them, and brings them to a `Destination`. cursors.py
knows how far each has come; run.py is the loop, which outlives outages of both sides. A package for each kind of
destination: otlp/, postgres/, prometheus/.
"""
