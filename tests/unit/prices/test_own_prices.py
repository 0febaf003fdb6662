"""Prices of one's own: which one counts, how it counts tokens, and a file that cannot be meant."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from llm_metrics_proxy.recorder.errors import BadPrices
from llm_metrics_proxy.recorder.prices import notes, price_file
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import Cost, cost_of
from tests.unit.prices.priced import CACHED, MOMENT, NOWHERE, SONNET, call, price, usd


def own(tmp_path: Path, text: str) -> OwnPrices:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return price_file.load(path, NOWHERE)


LLAMA = call(
    provider="custom",
    model="My-Llama-8B",
    prompt_tokens=1000,
    completion_tokens=100,
    cached_tokens=600,
    cache_write_tokens=50,
)


def test_an_own_price_counts_every_token_once(tmp_path: Path) -> None:
    prices = own(tmp_path, '[[price]]\nmodel = "my-llama-*"\ninput = 2\noutput = 6.5\ncached = 0.2\ncache_write = 2.5')
    assert cost_of(LLAMA, prices) == Cost(
        *(usd((350, 2), (600, 0.2), (50, 2.5), (100, 6.5)), "file", 1, None), usd((600, 1.8)), usd((50, 0.5))
    )


def test_without_prices_of_its_own_a_cache_costs_what_input_costs(tmp_path: Path) -> None:
    prices = own(tmp_path, '[[price]]\nmodel = "my-llama-*"\ninput = 2\noutput = 6')
    assert price(LLAMA, prices) == usd((1000, 2), (100, 6))


def test_an_own_price_wins_over_the_list(tmp_path: Path) -> None:
    row = call(**SONNET, **CACHED)
    prices = own(tmp_path, '[[price]]\nmodel = "claude-*"\ninput = 0\noutput = 0')
    assert cost_of(row, prices)[:4] == (0.0, "file", 1, None)
    assert price(replace(row, model="gpt-4o", provider="openai"), prices) == price(
        replace(row, model="gpt-4o", provider="openai")
    )


def test_the_last_own_price_that_fits_counts(tmp_path: Path) -> None:
    prices = own(
        tmp_path,
        """
        [[price]]
        model = "*"
        input = 1
        output = 0
        [[price]]
        model = "my-llama-8b"
        provider = "custom"
        input = 2
        output = 0
        [[price]]
        model = "my-llama-8b"
        from = 2026-02-01
        input = 3
        output = 0
        """,
    )
    for fields, rate in (
        ({}, 2),
        ({"timestamp": "2026-01-31T23:59:59.999Z"}, 2),
        ({"timestamp": "2026-02-01T00:00:00.000Z"}, 3),
        ({"provider": "another"}, 1),
        ({"model": "prod", "response_model": "my-llama-8b"}, 2),
        ({"model": "something"}, 1),
    ):
        assert price(replace(LLAMA, **fields), prices) == usd((1000, rate)), fields


def test_an_own_price_makes_no_whole_cost_of_what_was_not_counted(tmp_path: Path) -> None:
    prices = own(tmp_path, '[[price]]\nmodel = "*"\ninput = 1\noutput = 1')
    assert cost_of(replace(LLAMA, completion_tokens=None), prices)[:4] == (0.001, "file", 0, notes.NO_OUTPUT)
    assert cost_of(replace(LLAMA, prompt_tokens=None), prices) == Cost(None, None, None, notes.NO_INPUT)
    assert cost_of(replace(LLAMA, cached_tokens=2000), prices) == Cost(None, None, None, notes.CONTRADICTORY)  # of 1000


ALIAS = '[[alias]]\nmodel = "mine"\n'
PRICE = '[[price]]\nmodel = "x"\ninput = 1\noutput = 1\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[price]]\nmodel = x", "(Invalid value (at line 2, column 9)): mend that line."),
        ("[[price]\n", "(at line 1, column "),
        (b"\xff", "is no TOML ("),
        ("[[prices]]\n", "has 'prices': write each price under [[price]] and each alias under [[alias]]."),
        ("[price]\nmodel = 'x'", "a 'price' that is no table: write each price under [[price]] and"),
        (f"{PRICE}[[price]]\ninput = 1\noutput = 1", "Price 2 of "),
        (f"{PRICE}[[price]]\ninput = 1\noutput = 1", "has no 'model': add it."),
        ("[[price]]\nmodel = 'x'\noutput = 1", "has no 'input': add it."),
        ("[[price]]\nmodel = 'x'\ninput = 1", "has no 'output': add it."),
        (f"{PRICE}inptu = 3", "Price 1 of "),
        (f"{PRICE}inptu = 3", "has 'inptu': use only model, provider, tier, from, input, output, cached, cache_write."),
        (f"{PRICE}cached = -1", "has 'cached' = -1, which is no price: write US dollars for a million tokens"),
        (f"{PRICE}cached = '1'", "has 'cached' = '1', which is no price"),
        (f"{PRICE}cached = nan", "has 'cached' = 'NaN', which is no price"),
        (f"{PRICE}cached = true", "has 'cached' = True, which is no price"),
        (f"{PRICE}cached = 1e99", "which is no price"),
        (f"{PRICE}provider = 7", "has 'provider' = 7, which is no name: write it in quotes."),
        (f"{PRICE}from = '2026-01-01'", "has 'from' = '2026-01-01', which is no day: write it without quotes"),
        (f"{PRICE}from = 2026-01-01T00:00:00Z", "which is no day"),
        (f"{PRICE}tier = 'turbo'", "has 'tier' = 'turbo', which is no service tier: write one of batch, fast, flex, "),
        (f"{PRICE}tier = 5", "has 'tier' = 5, which is no service tier"),
        (f"{PRICE}per_hour = 5", "has 'per_hour': use only "),
        (f"{ALIAS}as = 'gpt-5'\ninput = 1", "has 'input': use only model, provider, from, as, list."),
        (f"{ALIAS}from = 2026-01-01", "has neither 'as' nor 'list': add the model whose prices hold."),
        (f"{ALIAS}as = ''", "has 'as' = '', which is no name"),
        ("[[alias]]\nas = 'gpt-5'", "has no 'model': add it."),
        (f"{ALIAS}as = 'Mine'", "has an alias that leads back to itself (mine -> mine): write the name of a model"),
        (f"{ALIAS}as = 'b'\n[[alias]]\nmodel = 'b'\nas = 'mine'", "leads back to itself (mine -> b -> mine)"),
        ("x = " + "[" * 50_000, "is no TOML ("),
        ("# " + "x" * (1 << 20), "has more than 1,048,576 bytes"),
    ],
)
def test_a_bad_file_of_prices_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadPrices) as caught:
        price_file.load(path, NOWHERE)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_the_file_beside_the_database_is_found_through_a_link(tmp_path: Path, current_db: Path) -> None:
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(current_db)
    assert price_file.load(None, link).find(("x",), None, MOMENT) is None
    (current_db.parent / "prices.toml").write_text(PRICE)
    assert price_file.load(None, link).find(("x",), None, MOMENT)
    with pytest.raises(BadPrices, match="There is no file of prices"):
        price_file.load(tmp_path / "other.toml", link)


def test_the_database_itself_is_never_opened_as_a_file_of_prices(current_db: Path) -> None:
    with pytest.raises(BadPrices, match="is the database: give the path of a file of prices"):
        price_file.load(current_db, current_db)


def test_an_own_price_cannot_make_a_cost_that_spoils_all_sums(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('[[price]]\nmodel = "*"\ninput = 1000\noutput = 0\n')
    own = price_file.load(None, tmp_path / "metrics.db")
    assert cost_of(call(model="m", prompt_tokens=10**12, completion_tokens=0), own) == Cost(
        None, None, None, notes.CONTRADICTORY
    )
