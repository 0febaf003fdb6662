"""Asking OpenAI-style streams for their usage, so that nobody notices: the option `metrics_include_usage`.

Such a stream reports its usage only if `stream_options.include_usage` is set. request.py puts that into the request and
changes no other byte of it; stream.py takes the additional chunk out of the answer again; asking.py does both to
mitmproxy's flows, and asks again without the option where a provider may have refused it. What differs all the same
from a call without the option is listed in docs/options.md.
"""
