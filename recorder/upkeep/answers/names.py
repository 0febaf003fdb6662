"""Tells whether two names are those of one model, as a provider, a gateway, a cloud or a day of release spells them.

A name is cut into words and numbers. Of these, makers and the spelling of a service say nothing. A release (a date, a
revision) says which one of a model it is: where only one name has it, they are one; two different releases are two
models, since somebody asked for the one. The rest must be the same, in any order.

    anthropic/claude-sonnet-4.5             claude sonnet 4 5
    us.anthropic.claude-sonnet-4-5-20250929-v1:0    claude sonnet 4 5, release 20250929
    models/gemini-2.5-flash-preview-05-20   gemini 2 5 flash, release 0520

Beyond that they are one where a provider documents it (aliases.csv), where prices.toml has an alias, where an alias
that moves (`-latest`) fits, and where the list of prices has both as names of one model. What was asked for may be no
model at all: a router, or the name of a deployment. Then no answer is another model.
"""

import csv
import re
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.prices import price_list
from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices

_LONGEST: Final = 300  # characters that are looked at: clients choose them
_REMEMBERED: Final = 4096

# Before the name itself: paths, regions of Bedrock, makers on Bedrock.
_REGION = re.compile(r"^(?:us|us-gov|eu|ap|apac|au|ca|jp|sa|me|af|global)\.")
_MAKER = re.compile(
    r"^(?:ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen|"
    r"stability|twelvelabs|writer|zai)\."
)
_SERVICE_VERSION = re.compile(r"-v\d+:\d+(?::\w+)?$")  # of Bedrock: -v1:0
_TAG = re.compile(r":[a-z][\w.-]*$")  # :free, :latest, :cerebras; :8b is a size
_OPAQUE = re.compile(r"^@preset/|application-inference-profile/|:provisioned-model/|:custom-model/|prompt-router/")
_WORDS = re.compile(r"\d+|[a-z]+")
_RELEASES: Final = (
    re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)"),  # 2025-09-29
    re.compile(r"(?<!\d)(\d\d)-(20\d\d)(?!\d)"),  # 09-2025
    re.compile(r"(?<=preview-)(\d\d)-(\d\d)(?!\d)"),  # preview-05-20
    re.compile(r"(?<![\d.])((?:20)?\d{6})(?!\d)"),  # 20250929, 250115
    re.compile(r"(?<=[-@])(\d{4})(?![\dk])"),  # 0613, 2411
    re.compile(r"(?<=[-@])(00\d)(?!\d)"),  # 001
    re.compile(r"(?<=[-:])(v\d+)$"),  # ada-002-v2
)
# Words that name no other model, but how it is served, written down, or how far it has come.
_SAY_NOTHING: Final = re.compile(
    r"latest|preview|exp|experimental|beta|stable|free|hf|it|instruct|meta|bf|fp|int|awq|gptq|gguf|mlx"
)
_OF_BITS: Final = re.compile(r"(?<=[-_.])(?:bf16|fp4|fp8|fp16|int4|int8|mxfp4|nvfp4|q\d(?:_\w)*)(?=$|[-_.])")
# Words that make another model of one, also where the list of prices has the same price for both.
_MAKE_ANOTHER: Final = re.compile(
    r"chat|codex|audio|deep|flash|fast|fine|haiku|large|lite|lightning|live|max|medium|micro|mini|nano|non|omni|"
    r"opus|plus|premier|pro|realtime|research|search|small|sonnet|tiny|transcribe|tts|turbo|ultra|vision"
)
_ROUTERS: Final = frozenset(("auto", "router"))
_DEPLOYMENTS: Final = ("azure.ai.openai", "azure.ai.inference")
_MOVES: Final = "latest"


class _Name(NamedTuple):
    words: tuple[str, ...]  # sorted
    releases: frozenset[str]
    moves: bool


def are_one(provider: str, asked: str, answered: str, own: OwnPrices, at: str) -> bool:
    """Tell whether the model that answered is the one that was asked for, or nobody can know; at a timestamp."""
    asked, answered = asked[:_LONGEST], answered[:_LONGEST]
    alias = own.alias_of((asked,), provider or None, at)
    if alias is not None and alias.name:
        asked = alias.name
        served = own.alias_of((answered,), provider or None, at)
        answered = served.name if served is not None and served.name else answered
    elif own.alias_of((answered,), provider or None, at) is not None:
        return True  # the file says whose prices hold for the one that answered: somebody knows it
    return _are_one(provider, asked, answered, known=alias is not None)


@lru_cache(_REMEMBERED)
def _are_one(provider: str, asked: str, answered: str, *, known: bool) -> bool:
    if _fit(_name(asked), _name(answered)) or _is_documented(provider, asked, answered):
        return True
    if not known and not _is_a_model(provider, asked):
        return not _differ_in_numbers(_name(asked), _name(answered))
    return _are_one_in_the_list(provider, asked, answered)


def _fit(asked: _Name, answered: _Name) -> bool:
    if not asked.words or not answered.words:  # nothing but noise: it names no model
        return True
    if asked.moves:  # what is left of it may stand for any number
        return set(asked.words) <= set(answered.words)
    if asked.words != answered.words:
        return False
    return asked.releases <= answered.releases or answered.releases <= asked.releases


@lru_cache(_REMEMBERED)
def _name(text: str) -> _Name:
    text = text.lower().rpartition("/")[2]
    text = _MAKER.sub("", _REGION.sub("", text))
    moves = bool(re.search(rf"[-@:]{_MOVES}\b", text))
    text = _TAG.sub("", _SERVICE_VERSION.sub("", text))
    text = _OF_BITS.sub("", text.removesuffix(".gguf"))
    releases = set()
    for pattern in _RELEASES:
        releases |= {"".join(found.groups()) for found in pattern.finditer(text)}
        text = pattern.sub("", text)
    words = sorted(word for word in _WORDS.findall(text) if not _SAY_NOTHING.fullmatch(word))
    return _Name(tuple(words), frozenset(releases), moves)


def _is_a_model(provider: str, asked: str) -> bool:
    """False for a router, an opaque id, and a name that somebody gave to a deployment or in a gateway."""
    words = set(_WORDS.findall(asked.lower()))
    if words & _ROUTERS or _OPAQUE.search(asked):
        return False
    of_provider = None if provider in _DEPLOYMENTS else price_list.provider_named(provider)
    if of_provider is not None:
        return True
    return bool(price_list.lists_with(asked.rpartition("/")[2]))


def _differ_in_numbers(asked: _Name, answered: _Name) -> bool:
    """Tell whether a name that no list has is that of a model all the same, since the other one differs in its size."""
    letters, others = ({word for word in one.words if word.isalpha()} for one in (asked, answered))
    return letters == others and asked.words != answered.words


def _is_documented(provider: str, asked: str, answered: str) -> bool:
    return any(
        provider == line["provider"]
        and fnmatchcase(asked.lower(), line["model"])
        and fnmatchcase(answered.lower(), line["answered"])
        for line in _documented()
    )


@cache
def _documented() -> tuple[dict[str, str], ...]:
    with files(__package__).joinpath("aliases.csv").open(encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def _are_one_in_the_list(provider: str, asked: str, answered: str) -> bool:
    listed = price_list.provider_of(Call("", provider=provider or None))
    if listed is None:
        return False
    one, other = (price_list.find(listed, (name,)) for name in (asked, answered))
    if one is None or other is None or one.model is not other.model:
        return False
    before, after = _name(asked), _name(answered)
    if before.releases and after.releases and not (before.releases & after.releases):
        return False
    return not any(_MAKE_ANOTHER.fullmatch(word) for word in {*before.words} ^ {*after.words})
