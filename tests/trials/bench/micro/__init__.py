"""The parts of the hot path and of the recorder by themselves, for pytest-benchmark: `make bench ARGS=micro`.

Each benchmark says in `extra_info` what its figures are called: `figure` is its median by `per` of what it does, in
`unit` seconds; `figures` are values that it took itself.
"""
