"""What a start prints can be pasted into a shell, and the file of certificates is whole at any moment."""

import shlex
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy.addon.starting.greeting import export_lines, greeting, public_addresses
from llm_metrics_proxy.recorder.client_setup.bundle import BUNDLE_NAME, write_bundle

_PROC = Path("/proc/version")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The proxy's CA."""
    file = tmp_path / "mitmproxy-ca-cert.pem"
    file.write_text("the proxy's\n")
    return file


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """The public roots, in a folder of their own."""
    file = tmp_path / "certifi" / "cacert.pem"
    file.parent.mkdir()
    file.write_text("the public ones")
    return file


def _exports(lines: list[str]) -> dict[str, str]:
    words = [shlex.split(line) for line in lines]
    assert all(len(line) == 2 and line[0] == "export" for line in words)
    return {name: value for name, _, value in (line[1].partition("=") for line in words)}


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (("192.0.2.7", 3128), "http://192.0.2.7:3128"),
        (("", 8080), "http://127.0.0.1:8080"),
        (("0.0.0.0", 8080), "http://127.0.0.1:8080"),  # noqa: S104 - an address to read, not to bind
        (("::", 8080), "http://127.0.0.1:8080"),
        (("::1", 8080), "http://[::1]:8080"),
        (("llm.example.com", 8080), "http://llm.example.com:8080"),
    ],
)
def test_a_client_is_sent_to_an_address_it_can_use(address: tuple[str, int], url: str) -> None:
    exports = _exports(export_lines(address, Path("/b.pem"), Path("/a.pem")))
    assert exports["HTTPS_PROXY"] == exports["HTTP_PROXY"] == exports["http_proxy"] == url


@pytest.mark.parametrize("folder", ["/plain", "/with space", "/it's", '/$HOME `x` "y"', "/ü;&"])
def test_every_path_survives_the_shell(folder: str) -> None:
    bundle, authority = Path(folder) / "b.pem", Path(folder) / "a.pem"
    exports = _exports(export_lines(("127.0.0.1", 1), bundle, authority))
    replacing = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")
    assert {exports[name] for name in replacing} == {str(bundle)}
    assert exports["NODE_EXTRA_CA_CERTS"] == str(authority)
    assert exports["NODE_USE_ENV_PROXY"] == "1"


def test_the_greeting_names_the_database_and_the_first_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    addresses = [("127.0.0.1", 1), ("::1", 1)]
    text = greeting(tmp_path / "my metrics.db", addresses, Path("/b"), Path("/a"))
    assert f"recording to {tmp_path}/my metrics.db" in text
    assert text.count("HTTPS_PROXY") == 1
    assert text.endswith(f"{Path(sys.executable).with_name('sqlite-utils')} llm-top '{tmp_path}/my metrics.db'")


def test_without_a_regular_proxy_there_is_nothing_to_export() -> None:
    assert "export" not in greeting(Path("/m.db"), [], Path("/b"), Path("/a"))


def test_a_database_elsewhere_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert f"llm-top {tmp_path}/metrics.db" in greeting(tmp_path / "metrics.db", [], Path("/b"), Path("/a"))


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", []),
        ("127.9.9.9", []),
        ("::1", []),
        ("0.0.0.0", ["0.0.0.0:8080"]),  # noqa: S104 - an address to read, not to bind
        ("", ["0.0.0.0:8080"]),
        ("::", ["[::]:8080"]),
        ("192.0.2.7", ["192.0.2.7:8080"]),
        ("localhost", []),
        ("llm.example.com", ["llm.example.com:8080"]),
    ],
)
def test_an_address_that_others_can_reach_is_public(host: str, public: list[str]) -> None:
    assert public_addresses([(host, 8080)]) == public


def test_the_bundle_holds_the_roots_and_the_proxys_certificate(authority: Path, roots: Path) -> None:
    bundle = write_bundle(authority, roots)
    assert bundle == authority.with_name(BUNDLE_NAME)
    assert bundle.read_text() == "the public ones\n\nthe proxy's\n"
    assert bundle.stat().st_mode & 0o777 == 0o644


def test_a_bundle_that_is_right_already_is_left_alone(authority: Path, roots: Path) -> None:
    before = write_bundle(authority, roots).stat()
    assert write_bundle(authority, roots).stat().st_ino == before.st_ino


def test_a_bundle_is_replaced_as_a_whole(authority: Path, roots: Path) -> None:
    with write_bundle(authority, roots).open() as reading:
        authority.write_text("another\n")
        assert write_bundle(authority, roots).read_text() == "the public ones\n\nanother\n"
        assert reading.read() == "the public ones\n\nthe proxy's\n"
    assert sorted(path.name for path in authority.parent.iterdir()) == ["certifi", BUNDLE_NAME, authority.name]


def test_without_the_roots_the_proxys_certificate_serves(authority: Path, tmp_path: Path) -> None:
    assert write_bundle(authority, tmp_path / "nosuch.pem") == authority


def test_where_nothing_can_be_written_no_file_is_left_behind(authority: Path, roots: Path) -> None:
    authority.with_name(BUNDLE_NAME).mkdir()
    assert write_bundle(authority, roots) == authority
    assert sorted(path.name for path in authority.parent.iterdir()) == ["certifi", BUNDLE_NAME, authority.name]


@pytest.mark.skipif(not _PROC.is_file(), reason="needs a folder that not even root can write to")
def test_in_a_read_only_folder_the_proxys_certificate_serves(roots: Path) -> None:
    assert write_bundle(_PROC, roots) == _PROC
