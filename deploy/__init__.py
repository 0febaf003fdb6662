"""Programs beside the proxy: the live page, alert rules and dashboards, scripts."""
