"""Names of what a call can consume: the units of genai-prices, which the column `billed` and its price list share.

A name with fewer words is the whole of those with more: `input_tokens` includes `cache_read_tokens`,
`input_audio_tokens` and `input_tool_tokens`, and `cache_write_tokens` includes `cache_write_1h_tokens`.

`billed` is an object of such names and counts. One name is an exception: `other_models` is a list of objects of the
same kind, one for each time that another model worked for the call, at its own price. `model` in each names
it, unless the provider does not say which it was. Nothing in the list is part of the counts outside, nor of a column.

    {"input_tokens": 1640, "output_tokens": 190, "web_searches": 1,
     "other_models": [{"model": "gpt-image-2", "input_tokens": 24, "output_tokens": 6208, "output_image_tokens": 6208}]}

A name that genai-prices does not know (`WITHOUT_UNIT`) says that there is a fee which its list cannot have.
"""

INPUT = "input_tokens"
INPUT_TEXT = "input_text_tokens"
INPUT_AUDIO = "input_audio_tokens"
INPUT_IMAGE = "input_image_tokens"
INPUT_VIDEO = "input_video_tokens"
INPUT_TOOL = "input_tool_tokens"  # what the provider's own tools put into the prompt
INPUT_TEXT_TOOL = "input_text_tool_tokens"
INPUT_AUDIO_TOOL = "input_audio_tool_tokens"
INPUT_IMAGE_TOOL = "input_image_tool_tokens"
INPUT_VIDEO_TOOL = "input_video_tool_tokens"

CACHE_READ = "cache_read_tokens"
CACHE_READ_TEXT = "cache_text_read_tokens"
CACHE_READ_AUDIO = "cache_audio_read_tokens"
CACHE_READ_IMAGE = "cache_image_read_tokens"
CACHE_READ_VIDEO = "cache_video_read_tokens"
CACHE_WRITE = "cache_write_tokens"
CACHE_WRITE_5M = "cache_write_5m_tokens"
CACHE_WRITE_1H = "cache_write_1h_tokens"
CACHE_WRITE_30M = "cache_write_30m_tokens"  # OpenAI's ages, here and below
CACHE_WRITE_12H = "cache_write_12h_tokens"

OUTPUT = "output_tokens"
OUTPUT_TEXT = "output_text_tokens"
OUTPUT_AUDIO = "output_audio_tokens"
OUTPUT_IMAGE = "output_image_tokens"
OUTPUT_VIDEO = "output_video_tokens"
REASONING = "output_reasoning_tokens"
CITATION = "output_citation_tokens"  # billed as output, though the model did not write them

AUDIO_SECONDS = "audio_seconds"
INPUT_AUDIO_SECONDS = "input_audio_seconds"
DURATIONS = (AUDIO_SECONDS, INPUT_AUDIO_SECONDS)
"""Quantities that need not be whole numbers."""

INPUT_PIXELS = "input_pixels"
INPUT_MESSAGES = "input_text_messages"
INPUT_PAGES = "input_document_pages"
INPUT_ANNOTATED_PAGES = "input_annotated_document_pages"

# Calls of the provider's own tools, which are billed beside the tokens.
RERANK_SEARCHES = "rerank_searches"
WEB_SEARCHES = "web_searches"
WEB_SEARCHES_PREVIEW = "web_searches_preview"  # by OpenAI's older tool, at another price with some models
SOCIAL_SEARCHES = "social_searches"
FILE_SEARCHES = "storage_searches"
CODE_EXECUTIONS = "code_executions"
GROUNDED_PROMPTS = "grounded_prompts"  # 1 beside `web_searches`: Gemini 2 is billed by it, Gemini 3 by the search
GROUNDED_MAP_PROMPTS = "grounded_map_prompts"  # the same with Google Maps
SEARCH_SOURCES = "search_sources"  # xAI's Live Search is billed by the source that it used
CONTAINERS = "containers"  # in which code was run: a new one is billed, one that ran already is not
IMAGE_GENERATIONS = "image_generations"  # of whose tokens nothing is known

WITHOUT_UNIT = frozenset(
    {
        CACHE_WRITE_30M,
        CACHE_WRITE_12H,
        WEB_SEARCHES_PREVIEW,
        GROUNDED_PROMPTS,
        GROUNDED_MAP_PROMPTS,
        SEARCH_SOURCES,
        CONTAINERS,
        IMAGE_GENERATIONS,
    }
)
"""Quantities without a unit in genai-prices."""

OTHER_MODELS = "other_models"
"""A list of quantities, each with `MODEL`."""
MODEL = "model"

TOTAL = "total"
"""The provider's own sum: no quantity, and not in `billed`."""
