"""The kinds of exchange: each is drawn with a generator of random numbers, so that a seed gives the same ones again."""

import random
from collections.abc import Callable
from typing import Final

from tests.support.provider.scenario import Framing
from tests.support.traffic.http1 import has_body
from tests.trials.hostile import bodies, transports
from tests.trials.hostile.exchange import Exchange

KINDS: Final[dict[Callable[[random.Random], Exchange], float]] = {
    bodies.odd_json: 16,
    bodies.any_json: 8,
    bodies.stream: 12,
    bodies.mutations: 12,
    bodies.noise: 8,
    bodies.usage: 8,
    bodies.quoted_secrets: 12,
    transports.coded: 6,
    transports.lying_coding: 6,
    transports.bomb: 0.2,
    transports.many_headers: 3,
    transports.lying_length: 2,
    transports.breaks_off: 3,
    transports.client_leaves: 2,
    transports.unknown_path: 2,
}
"""Each kind, and of how many in about a hundred exchanges it is."""


def drawn(numbers: random.Random) -> Exchange:
    """Draw an exchange."""
    (make,) = numbers.choices(list(KINDS), list(KINDS.values()))
    made = make(numbers)
    if not has_body(made.status):
        made.answer, made.framing, made.more_promised = [], Framing.NONE, 0
    return made
