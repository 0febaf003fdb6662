"""Single checks of the doctor: variables, the CA, the database and its disk."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from llm_metrics_proxy.recorder.client_setup.signature import Signature
from llm_metrics_proxy.recorder.client_setup.variables import sh_line
from llm_metrics_proxy.recorder.doctor import (
    Check,
    authority,
    examination,
    proxy_variables,
    storage,
)
from llm_metrics_proxy.recorder.doctor.port import Found
from llm_metrics_proxy.recorder.store import spill_folder
from tests.unit.doctor.examined import HOST, UNKNOWN, URL, at, levels

NOBODY = 65534


def certificate(folder: Path, *, days: int = 10) -> Path:
    """Make a CA that is valid for so many days from now, or was until so many days ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mitmproxy")])
    ends = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=20))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "ca.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


# --- variables


def _only(found: Iterator[Check], name: str = "HTTPS_PROXY") -> Check:
    return next(check for check in found if check.name == name)


@pytest.mark.parametrize(
    ("env", "level", "says"),
    [
        ({}, "fail", "It is not set"),
        ({"HTTPS_PROXY": URL}, "ok", "HTTPS_PROXY is http://127.0.0.1:8080."),
        ({"https_proxy": "localhost:8080"}, "ok", "https_proxy is localhost:8080."),
        ({"HTTPS_PROXY": "http://127.0.0.1:8081"}, "fail", "which is not the proxy at"),
        ({"HTTP_PROXY": URL}, "fail", "Only HTTP_PROXY is set"),
        ({"http_proxy": URL}, "fail", "Only http_proxy is set"),
        ({"ALL_PROXY": URL}, "fail", "Only ALL_PROXY is set"),
        ({"Https_Proxy": URL}, "fail", "Https_Proxy is set in a spelling"),
        ({"HTTPS_PROXY": URL, "https_proxy": "http://corp:3128"}, "fail", "clients prefer the lower case"),
        ({"HTTPS_PROXY": "http://corp:3128", "https_proxy": URL}, "fail", "clients prefer the lower case"),
        ({"HTTPS_PROXY": "nonsense://x"}, "fail", "which is not the proxy at"),
        ({"HTTPS_PROXY": "", "HTTP_PROXY": URL}, "fail", "Only HTTP_PROXY is set"),
    ],
)
def test_every_way_to_set_the_variable_is_told(env: dict[str, str], level: str, says: str, tmp_path: Path) -> None:
    check = _only(proxy_variables.look(at(tmp_path, env)))
    assert check.level == level
    assert says in check.what


def test_what_steers_a_terminal_is_shown_as_an_escape(tmp_path: Path) -> None:
    check = _only(proxy_variables.look(at(tmp_path, {"HTTPS_PROXY": "http://\x1b]0;owned\x07h:1"})))
    assert r"\x1b]0;owned\x07h:1" in check.what
    assert check.what.isprintable()


@pytest.mark.parametrize(
    ("entries", "host", "level", "left"),
    [
        ("localhost,127.0.0.1", HOST, "ok", None),
        ("*", HOST, "fail", "unset NO_PROXY"),
        ("localhost, .openai.com ,x", HOST, "fail", "export NO_PROXY=localhost,x"),
        ("openai.com", HOST, "fail", "unset NO_PROXY"),
        ("API.OpenAI.com", HOST, "fail", "unset NO_PROXY"),
        ("api.openai.com:443", HOST, "fail", "unset NO_PROXY"),
        ("*.openai.com", HOST, "warn", "unset NO_PROXY"),
        ("notopenai.com,penai.com", HOST, "ok", None),
        ("anthropic.com", None, "fail", "unset NO_PROXY"),
        ("localhost", "localhost", "fail", "unset NO_PROXY"),
    ],
)
def test_no_proxy_is_judged_as_clients_do(
    entries: str, host: str | None, level: str, left: str | None, tmp_path: Path
) -> None:
    (check,) = proxy_variables.look_at_no_proxy(at(tmp_path, {"NO_PROXY": entries}, host=host))
    assert (check.level, check.fix) == (level, left)


def test_the_lower_case_of_no_proxy_wins(tmp_path: Path) -> None:
    (check,) = proxy_variables.look_at_no_proxy(at(tmp_path, {"NO_PROXY": "x", "no_proxy": HOST}, host=HOST))
    assert check.what.startswith("no_proxy has the entry")
    assert check.fix == "unset no_proxy; unset NO_PROXY"


def test_variables_that_name_no_certificates_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    env = {"SSL_CERT_FILE": str(tmp_path / "gone.pem"), "CURL_CA_BUNDLE": str(tmp_path / "empty.pem")}
    found = {check.name: check for check in authority.look_at_files(at(tmp_path, env))}
    assert levels(found) == {"SSL_CERT_FILE": "fail", "CURL_CA_BUNDLE": "fail"}
    assert "cannot be read (No such file" in found["SSL_CERT_FILE"].what
    assert found["CURL_CA_BUNDLE"].fix == sh_line("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))


# --- the CA


def test_the_ca_that_the_proxy_signs_with_is_fine(tmp_path: Path) -> None:
    content = certificate(tmp_path).read_bytes()
    check = authority.look(at(tmp_path), Found(UNKNOWN.check, Signature(None), content))
    assert check.level == "ok"
    assert "is the one that the proxy signs with, valid until" in check.what


def test_a_ca_that_could_not_be_compared_is_not_said_to_be_the_proxys(tmp_path: Path) -> None:
    certificate(tmp_path)
    assert "whether the proxy signs with it is not known" in authority.look(at(tmp_path), UNKNOWN).what


def test_an_expired_ca_is_named_with_its_day(tmp_path: Path) -> None:
    certificate(tmp_path, days=-1)
    check = authority.look(at(tmp_path), UNKNOWN)
    assert check.level == "fail"
    assert "was valid until" in check.what


def test_another_ca_a_missing_one_and_none_at_all_are_named(tmp_path: Path) -> None:
    signing = Found(UNKNOWN.check, Signature(None), certificate(tmp_path).read_bytes())
    certificate(tmp_path)
    assert "is another CA than the one that the proxy signs with" in authority.look(at(tmp_path), signing).what
    (tmp_path / "ca.pem").write_text("-----BEGIN NOTHING-----")
    assert "holds no certificate" in authority.look(at(tmp_path), signing).what
    (tmp_path / "ca.pem").unlink()
    check = authority.look(at(tmp_path), signing)
    assert "There is no " in check.what
    assert f"curl -x {URL} http://mitm.it/cert/pem -o {tmp_path}/ca.pem" in (check.fix or "")


# --- the database


def _stored(folder: Path, found: Found = UNKNOWN, **how: Any) -> dict[str, Check]:  # noqa: ANN401 - those of `at`
    return {check.name: check for check in storage.look(at(folder, **how), found)}


def test_a_missing_database_fails_unless_the_proxy_has_another(tmp_path: Path) -> None:
    assert _stored(tmp_path)["database"].level == "fail"
    assert levels(_stored(tmp_path, Found(UNKNOWN.check, Signature("x")))) == {"database": "warn"}
    given = _stored(tmp_path, Found(UNKNOWN.check, Signature("x")), database_is_given=True)
    assert given["database"].level == "fail"
    assert not (tmp_path / "metrics.db").exists()


@pytest.mark.usefixtures("current_db")
def test_a_disk_that_gets_full_is_told_in_time(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert _stored(tmp_path, least_free=0, little_free=0)["disk"].level == "ok"
    assert _stored(tmp_path, least_free=0, little_free=free * 2)["disk"].level == "warn"
    assert _stored(tmp_path, least_free=free * 2)["disk"].level == "fail"


def test_a_locked_database_is_told(current_db: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check = _stored(tmp_path)["database"]
    assert check.level == "fail"
    assert "locked" in check.what
    assert _stored(tmp_path)["database"].level == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not write")
def test_a_database_that_may_only_be_read_is_told(current_db: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(current_db, folder / "metrics.db")
        (folder / "metrics.db").chmod(0o644)
        os.seteuid(NOBODY)
        try:
            check = _stored(folder)["database"]
        finally:
            os.seteuid(0)
    assert check.level == "fail"
    assert check.fix


def test_events_that_wait_are_told(current_db: Path, tmp_path: Path) -> None:
    folder = spill_folder.make(current_db)
    (folder / "host-1-2-1.jsonl").write_text("{}\n")
    assert _stored(tmp_path)["kept aside"].what.startswith("3 bytes of events are kept aside in")


def test_events_that_were_lost_are_told_by_cause(current_db: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as connection:
        connection.execute("INSERT INTO recorder_counters VALUES ('p', 'dropped_queue_full', 1234, '2026-01-01')")
    assert _stored(tmp_path)["dropped"].what == "Events were lost (queue_full 1,234)."


@pytest.mark.parametrize(("version", "count"), [("12.2.0", 1), ("11.1.3", 1), ("12.2.1", 0), ("13.0.0.dev0", 0)])
def test_mitmproxys_that_cut_long_thoughts_are_known(version: str, count: int) -> None:
    assert len(examination.defects_of(version)) == count
