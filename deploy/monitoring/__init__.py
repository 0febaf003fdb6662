"""Alert rules for Prometheus and a dashboard for Grafana, made of queries.py by `python -m deploy.monitoring`."""
