"""mitmproxy made faster without a change that anybody could see. Knows mitmproxy's inside, and nothing of LLMs.

Each layer can be switched alone. `known` says whose source a layer relies on; `proof` tries it in memory; whatever
differs there, the layer stays away and mitmproxy is as it was.
"""
