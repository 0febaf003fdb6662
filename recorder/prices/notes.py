"""Words of the column `cost_note`: what a cost lacks, or why there is none. docs/costs.md explains each.

A cost with a note is a lower bound; without a note it is whole. A new word is a line here, and one there.
"""

from collections.abc import Mapping
from typing import Final

NO_USAGE: Final = "no_usage"
CONTRADICTORY: Final = "contradictory_usage"
NO_OUTPUT: Final = "output_unknown"
NO_INPUT: Final = "input_unknown"
NO_PRICE: Final = "no_price"
NO_TIER: Final = "tier_without_price"
NO_REGION: Final = "region_without_price"
NO_FEE: Final = "tool_fee_unknown"
OTHER_MODEL: Final = "other_model"

WORDS: Final = (NO_USAGE, CONTRADICTORY, NO_OUTPUT, NO_INPUT, NO_PRICE, NO_TIER, NO_REGION, NO_FEE, OTHER_MODEL)

# What is meant, for people: "12 calls: the model has no price".
MEANINGS: Final = {
    NO_USAGE: "nothing said what was used",
    CONTRADICTORY: "the usage contradicts itself",
    NO_OUTPUT: "the output was not counted",
    NO_INPUT: "the input was not counted",
    NO_PRICE: "no price is known",
    NO_TIER: "the service tier has no known price",
    NO_REGION: "the region has no known price",
    NO_FEE: "a tool's fee is not known",
    OTHER_MODEL: "another model took part, whose price is not known",
}


def told(calls: Mapping[str, int]) -> str:
    """Return what costs lack, for people: `8 calls: no price is known; 1 call: the output was not counted`."""
    return "; ".join(
        f"{count:,} call{'' if count == 1 else 's'}: {MEANINGS.get(word, word)}" for word, count in calls.items()
    )
