"""`llm-metrics serve --prometheus`: what the calls add up to, for a Prometheus that comes and asks.

run.py is the command's life. keeper.py is the one thread that reads the database: counting.py knows which rows are in
the totals (totals.py, labels.py), which saved.py keeps in the table `exporters`; facts.py asks how the recorder does;
families.py gives all of it Prometheus' names. server.py and app.py answer at what address.py makes of ADDRESS.
"""
