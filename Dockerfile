# The images of compose.yaml: the proxy, and the live page. All that happens in them is in deploy/scripts/build-image.
# The tag names Python's version and Debian's release. To pin the bytes too, add @sha256:... as your registry shows it.
FROM python:3.13.14-slim-trixie AS base
ENV PATH=/opt/llm-metrics/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LLM_METRICS_DB=/data/metrics.db
WORKDIR /opt/llm-metrics

FROM base AS dashboard
RUN --mount=type=bind,target=/source sh /source/deploy/scripts/build-image dashboard
USER 10001:10001
EXPOSE 8001
VOLUME /data
ENTRYPOINT ["python", "-m", "deploy.dashboard", "--host", "0.0.0.0"]

FROM base AS proxy
RUN --mount=type=bind,target=/source sh /source/deploy/scripts/build-image proxy
ENV METRICS_LOG_FORMAT=json
USER 10001:10001
EXPOSE 8080
VOLUME /data
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s \
    CMD python -m llm_metrics_proxy.recorder.care.health "http://${PROXY_AUTH:+$PROXY_AUTH@}127.0.0.1:8080"
ENTRYPOINT ["container-start"]
