"""Names of the conventions for generative AI. They still change, and stand only here.

They are those that `opentelemetry-util-genai` 1.3b0 writes. The conventions' repository has since renamed the metrics
(`gen_ai.client.inference.*`), which that package does not do yet. What no convention names is ours, `llm_metrics.*`.
"""

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # s
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"  # its older name, which receivers know
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no password: input or output

ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
CLIENT_ADDRESS: Final = "client.address"
URL_PATH: Final = "url.path"
USER_AGENT: Final = "user_agent.original"
STATUS_CODE: Final = "http.response.status_code"
RESEND_COUNT: Final = "http.request.resend_count"
REQUEST_BYTES: Final = "http.request.body.size"
RESPONSE_BYTES: Final = "http.response.body.size"
PROTOCOL_VERSION: Final = "network.protocol.version"

OTHER: Final = "_OTHER"  # of too many different values; the conventions have it for error.type

OURS: Final = "llm_metrics."
COST: Final = f"{OURS}cost_usd"
LABEL: Final = f"{OURS}label."  # before a label's name
FIRST_CHUNK_EVENT: Final = f"{OURS}first_chunk"  # the first byte of the answer; the conventions have no event for it
FIRST_TOKEN_EVENT: Final = f"{OURS}first_token"  # the first output

DURATION_METRIC: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK_METRIC: Final = "gen_ai.client.operation.time_to_first_chunk"
TOKEN_USAGE_METRIC: Final = "gen_ai.client.token.usage"  # noqa: S105 - no password
COST_METRIC: Final = f"{OURS}cost"
SECONDS_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS: Final = tuple(4**power for power in range(14))
