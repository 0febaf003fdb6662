"""Alert rules for Prometheus and a dashboard for Grafana, made of the queries in queries.py: `python -m monitoring`."""
