"""The hosts of LLM providers: a host is data, not code.

The name is OpenTelemetry's `gen_ai.provider.name` where it has one, the provider's own otherwise. A pattern is matched
against the whole host name, without port.
"""

import re

UNKNOWN = "custom"

_HOSTS = (
    ("openai", r"(?:[a-z0-9-]+\.)?api\.openai\.com"),
    ("openai", r"chatgpt\.com"),  # Codex with a ChatGPT plan
    ("anthropic", r"api\.anthropic\.com"),
    ("anthropic", r"claude\.googleapis\.com|aws-external-anthropic\.[a-z0-9-]+\.api\.aws"),  # its platform on clouds
    ("azure.ai.openai", r"[a-z0-9-]+\.(?:openai|cognitiveservices)\.azure\.(?:com|us|cn)"),
    ("azure.ai.inference", r"[a-z0-9.-]+\.(?:services\.ai|inference\.ai|models\.ai)\.azure\.(?:com|us|cn)"),
    ("azure.ai.openai", r"[a-z0-9-]+\.azure-api\.net"),
    ("gcp.gemini", r"generativelanguage\.googleapis\.com"),
    ("gcp.gemini", r"[a-z-]*cloudcode-pa(?:\.sandbox)?\.googleapis\.com"),  # Gemini's command line
    ("gcp.vertex_ai", r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com|aiplatform\.[a-z0-9-]+\.rep\.googleapis\.com"),
    ("aws.bedrock", r"bedrock-(?:runtime|mantle)(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"),
    ("cohere", r"api\.cohere\.(?:com|ai)"),
    ("mistral_ai", r"(?:api|codestral|api\.[a-z]{2})\.mistral\.ai"),
    ("groq", r"api\.groq\.com"),
    ("deepseek", r"api\.deepseek\.com"),
    ("x_ai", r"(?:[a-z0-9-]+\.)?api\.x\.ai"),
    ("perplexity", r"api\.perplexity\.ai"),
    ("openrouter", r"(?:api\.)?openrouter\.ai"),
    ("together", r"(?:[a-z]{2}-)?api(?:-inference)?\.together\.(?:xyz|ai)"),
    ("fireworks", r"api\.fireworks\.ai"),
    ("cerebras", r"api\.cerebras\.ai"),
    (
        "huggingface",
        r"router\.huggingface\.co|api-inference\.huggingface\.co|[a-z0-9.-]+\.endpoints\.huggingface\.cloud",
    ),
    ("github", r"(?:[a-z0-9-]+\.)*githubcopilot\.com|copilot-proxy\.githubusercontent\.com"),
    ("github", r"models\.(?:github\.ai|inference\.ai\.azure\.com)"),
    ("moonshot_ai", r"api\.moonshot\.(?:ai|cn)|api\.kimi\.com"),
    ("z_ai", r"api\.z\.ai|open\.bigmodel\.cn"),
    ("minimax", r"api\.minimax(?:i)?\.(?:io|chat|com)"),
    ("alibaba", r"(?:coding(?:-[a-z]+)?\.)?dashscope(?:-[a-z]+)?\.aliyuncs\.com"),
    ("novita", r"api\.novita\.ai"),
    ("nvidia", r"integrate\.api\.nvidia\.com"),
    ("sambanova", r"api\.sambanova\.ai"),
    ("deepinfra", r"api\.deepinfra\.com"),
    ("hyperbolic", r"api\.hyperbolic\.xyz"),
    ("nebius", r"api\.(?:studio|tokenfactory)\.nebius\.(?:ai|com)"),
    ("baseten", r"inference\.baseten\.co"),
    ("crusoe", r"[a-z0-9.-]*inference\.crusoecloud\.com"),
    ("ovhcloud", r"[a-z0-9.-]+\.endpoints\.kepler\.ai\.cloud\.ovh\.net"),
    ("scaleway", r"api\.scaleway\.ai"),
    ("ibm.watsonx.ai", r"[a-z0-9-]+\.ml\.cloud\.ibm\.com"),
    ("writer", r"api\.writer\.com"),
    ("ai21", r"api\.ai21\.com"),
    ("voyage", r"api\.voyageai\.com|ai\.mongodb\.com"),
    ("jina", r"api\.jina\.ai"),
    ("replicate", r"(?:api|openai-proxy)\.replicate\.com"),
    ("vercel", r"ai-gateway\.vercel\.sh"),
    ("cloudflare", r"gateway\.ai\.cloudflare\.com"),
    ("portkey", r"api\.portkey\.ai"),
    ("helicone", r"(?:oai|anthropic|gateway|ai-gateway)\.(?:[a-z0-9-]+\.)?(?:helicone\.ai|hconeai\.com)"),
    ("pydantic", r"gateway\.pydantic\.dev|gateway(?:-[a-z0-9]+)?\.pydantic\.(?:dev|info)"),
    ("opencode", r"opencode\.ai"),
    ("ollama", r"ollama\.com"),
    ("meta", r"api\.meta\.ai"),
    ("arcee", r"api\.arcee\.ai"),
    ("avian", r"api\.avian\.io"),
    ("doubleword", r"api\.doubleword\.ai"),
    ("quicksilverpro", r"api\.quicksilverpro\.io"),
    ("typesafe", r"api\.typesafe\.ai"),
    ("aleph_alpha", r"api\.aleph-alpha\.com"),
    ("chutes", r"llm\.chutes\.ai"),
    ("featherless", r"api\.featherless\.ai"),
    ("friendli", r"api\.friendli\.ai"),
    ("hunyuan", r"api\.hunyuan\.cloud\.tencent\.com"),
    ("inception", r"api\.inceptionlabs\.ai"),
    ("lambda", r"api\.lambda(?:labs\.com|\.ai)"),
    ("nscale", r"inference\.api\.nscale\.com"),
    ("parasail", r"api\.parasail\.io"),
    ("qianfan", r"qianfan\.baidubce\.com"),
    ("reka", r"api\.reka\.ai"),
    ("siliconflow", r"api\.siliconflow\.(?:cn|com)"),
    ("stepfun", r"api\.stepfun\.(?:com|ai)"),
    ("upstage", r"api\.upstage\.ai"),
    ("venice", r"api\.venice\.ai"),
    ("volcengine", r"ark\.[a-z0-9-]+\.volces\.com"),
    ("heroku", r"[a-z0-9-]+\.inference\.heroku\.com"),
)

# Hosts whose other traffic is none of ours, such as SQL: they have a name, but are opened only where somebody says so.
_SHARED_HOSTS = (
    ("snowflake", r"[a-z0-9_.-]+\.snowflakecomputing\.com"),
    ("databricks", r"[a-z0-9.-]+\.(?:cloud|gcp)\.databricks\.com|adb-[0-9.]+\.azuredatabricks\.net"),
    ("cloudflare", r"api\.cloudflare\.com"),
)

_LOCAL_PORTS = {11434: "ollama"}

type _Hosts = tuple[tuple[str, str], ...]


def _compiled(hosts: _Hosts) -> re.Pattern[str]:
    return re.compile("|".join(f"({pattern})" for _, pattern in hosts), re.IGNORECASE)


_PATTERN, _SHARED_PATTERN = _compiled(_HOSTS), _compiled(_SHARED_HOSTS)


def provider_of(host: str) -> str | None:
    """Return the provider's name for a host name without port; None for a host that is no provider's alone."""
    return _named(host, _HOSTS, _PATTERN)


def name_of(host: str, port: int) -> str:
    """Return what to call the provider behind an address that answers like an LLM's API."""
    shared = _named(host, _SHARED_HOSTS, _SHARED_PATTERN)
    return provider_of(host) or shared or _LOCAL_PORTS.get(port, UNKNOWN)


def _named(host: str, hosts: _Hosts, pattern: re.Pattern[str]) -> str | None:
    found = pattern.fullmatch(host.rstrip("."))
    return hosts[found.lastindex - 1][0] if found and found.lastindex else None
