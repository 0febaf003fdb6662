"""A reverse port answers to names that were meant, in every spelling that clients use, and to no other."""

import string
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.admission import Admission, Asked, Host, host_in, is_from_a_page, refused_by_proxy

HERE, ELSEWHERE = "127.0.0.1", "172.18.0.3"
ADMISSION = Admission(["machine", "machine.lan:8080", "10.1.2.3", "llm.example.com", ".allowed.example", "[fd00::7]:1"])
OWN = "localhost 127.0.0.1 127.8.9.10 [::1] [::ffff:127.0.0.1] 0.0.0.0 [::] ollama.localhost"
GIVEN = "machine machine.lan 10.1.2.3 llm.example.com a.allowed.example b.a.allowed.example [fd00::7]"
OF_A_NETWORK = "ollama-proxy ollama_proxy 10.9.8.7 [fe80::1%25eth0] nas.local o.svc.cluster.local evillocalhost"
OF_OTHERS = """
    evil.example localhost.evil.example 127.0.0.1.evil.example llm.example.com.evil.example allowed.example
    notallowed.example x.machine machine.lan.evil.example localhost.local.evil.example
"""
NO_NAMES = """
    : :80 localhost:http user@localhost localhost@evil.example localhost/ localhost# localhost.. loc%61lhost -x
    127.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 127.0.0.1.1 127.0.0 1.2.3.4.5 [::1 ::1] [127.0.0.1] [localhost]
"""
ODD = [" ", "a b", "localhost, evil.example", "localhost\0", "\uff4cocalhost"]


def refused(
    name: str, *, arrived_at: str = HERE, provider: str = "api.provider.example", authority: bytes = b""
) -> bool:
    asked = Asked(of_proxy=False, authority=authority, fields=((b"Host", name.encode()),))
    return ADMISSION.refused_by_reverse(asked, provider, arrived_at) is not None


@pytest.mark.parametrize("name", [*OWN.split(), *GIVEN.split()])
@pytest.mark.parametrize("spelling", ["{}", "{}:11435", "{}:", "{}.", "{}.:80"])
def test_names_that_are_meant_are_let_in_however_they_are_spelt(name: str, spelling: str) -> None:
    if not (spelling.startswith("{}.") and name[-1] in "]" + string.digits):
        assert not refused(spelling.format(name))
        assert not refused(spelling.format(name).upper(), arrived_at=ELSEWHERE)


@pytest.mark.parametrize("name", OF_A_NETWORK.split())
def test_names_of_a_local_network_are_meant_only_by_those_who_come_from_there(name: str) -> None:
    assert refused(name)
    assert refused(name, arrived_at="::1")
    assert not refused(f"{name}:11434", arrived_at=ELSEWHERE)


@pytest.mark.parametrize("name", [*OF_OTHERS.split(), *NO_NAMES.split(), *ODD])
@pytest.mark.parametrize("arrived_at", [HERE, ELSEWHERE, "::1"])
def test_other_names_are_refused_wherever_they_come_from(name: str, arrived_at: str) -> None:
    assert refused(name, arrived_at=arrived_at)
    assert refused(f"{name}:11435", arrived_at=arrived_at)


def test_the_providers_own_name_and_the_address_that_was_called_are_meant() -> None:
    assert not refused("API.provider.example:443")
    assert not refused("10.0.0.1", provider="10.0.0.1")
    assert not refused("192.0.2.9:80", arrived_at="192.0.2.9")


def test_a_request_without_a_name_is_let_in_and_one_of_several_names_is_enough_to_refuse() -> None:
    nameless = Asked(of_proxy=False, authority=b"", fields=((b"accept", b"*/*"), (b"host", b"")))
    assert ADMISSION.refused_by_reverse(nameless, "p.example", HERE) is None
    assert refused("localhost", authority=b"evil.example")
    assert refused("evil.example", authority=b"localhost")
    twice = Asked(of_proxy=False, authority=b"", fields=((b"HOST", b"localhost"), (b"host", b"evil.example")))
    assert ADMISSION.refused_by_reverse(twice, "p.example", HERE) is not None


def test_a_refusal_says_what_would_let_it_in() -> None:
    asked = Asked(of_proxy=False, authority=b"", fields=((b"Host", b"Ollama.Example.:8080"),))
    refusal = ADMISSION.refused_by_reverse(asked, "p.example", HERE)
    assert refusal is not None
    assert refusal.sentence.endswith("start the proxy with --set metrics_allowed_hosts=ollama.example.")
    assert Admission(["ollama.example"]).refused_by_reverse(asked, "p.example", HERE) is None


@given(st.text(max_size=80))
def test_no_text_is_taken_for_a_name_of_ours_that_a_browser_would_take_for_anothers(text: str) -> None:
    host = host_in(text)
    if isinstance(host, str):
        assert set(host) <= set(string.ascii_lowercase + string.digits + "-_.")
    elif host is not None:
        assert text.strip("[]").partition("]")[0].rstrip(".").lower().startswith(str(host)[:1]) or ":" in text


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("A.Example.:80", "a.example"),
        ("[::1]:80", ip_address("::1")),
        ("::1", ip_address("::1")),
        ("1.2.3.4:", ip_address("1.2.3.4")),
    ],
)
def test_a_host_is_found_in_an_authority(authority: str, host: Host) -> None:
    assert host_in(authority) == host


def test_only_a_path_makes_a_request_to_a_proxy_one_for_a_server() -> None:
    fields = ((b"Host", b"api.example"),)
    assert refused_by_proxy(Asked(of_proxy=True, authority=b"", fields=fields)) is not None
    assert refused_by_proxy(Asked(of_proxy=True, authority=b"api.example", fields=fields)) is None
    assert refused_by_proxy(Asked(of_proxy=False, authority=b"", fields=fields)) is None


BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0", "accept": "*/*"}


@pytest.mark.parametrize(
    ("headers", "from_a_page"),
    [
        ({}, False),
        ({"user-agent": "curl/8.14.1", "accept": "*/*"}, False),
        (BROWSER, True),
        (BROWSER | {"accept": "text/html,application/xhtml+xml"}, True),
        (BROWSER | {"upgrade-insecure-requests": "1"}, False),
        (BROWSER | {"sec-fetch-site": "none"}, False),
        (BROWSER | {"sec-fetch-site": "cross-site", "upgrade-insecure-requests": "1"}, True),
        (BROWSER | {"sec-fetch-site": "same-site"}, True),
        ({"origin": "null"}, True),
        ({"referer": "https://evil.example/"}, True),
    ],
)
def test_a_page_is_told_from_a_person_and_from_a_program(headers: dict[str, str], *, from_a_page: bool) -> None:
    assert is_from_a_page(headers) == from_a_page
