"""Names of what a call can consume: the units of genai-prices, which the column `billed` and its price list share.

A name with fewer words is the whole of those with more: `input_tokens` includes `cache_read_tokens`,
`input_audio_tokens` and `input_tool_tokens`, and `cache_write_tokens` includes `cache_write_1h_tokens`.
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
RERANK_SEARCHES = "rerank_searches"
WEB_SEARCHES = "web_searches"

TOTAL = "total"
"""The provider's own sum: no quantity, and not in `billed`."""
