"""To an OpenTelemetry collector, or whatever else takes OTLP: a span for each call, and metrics of them.

names.py and attributes.py say which column becomes what, by the conventions for generative AI; spans.py and metrics.py
make the two signals of it; over_http.py and over_grpc.py let the SDK's exporters send them and say what came of it;
destination.py is what recorder/export/run.py talks to. Everything here imports the SDK, which takes 0.3 s: only what
exports to OTLP imports from here.
"""
