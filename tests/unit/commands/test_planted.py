"""Nothing that somebody puts in the place of a file makes a command or a start hang, break, or write elsewhere.

Here pipes are tried everywhere, and each other kind once for each file; `make torture ARGS=T23` tries all of them.
"""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.store.files import check_regular, open_regular, read, write_result
from tests.support import planted
from tests.support.planted import COMMANDS, FILES, KINDS, Planted, starts

PIPES = [(file, "pipe", command) for file, command in product(FILES, COMMANDS)]
OTHERS = [one for one in planted.combinations(FILES, ["-"]) if one[1] != "pipe"]
OTHERS = [(file, kind, list(COMMANDS)[n % len(COMMANDS)]) for n, (file, kind, _) in enumerate(OTHERS)]
OF_THE_CA = (".mitmproxy/mitmproxy-dhparam.pem", ".mitmproxy/mitmproxy-ca.pem")
OF_STARTS = ("metrics.db", "metrics.db-journal", "metrics.db.spill", "prices.toml", *OF_THE_CA)


def cases(folder: Path, chosen: Sequence[tuple[str, str, str]]) -> list[Planted]:
    begin = planted.template(folder / "template")
    made = [Planted(*one, folder / str(number)) for number, one in enumerate(chosen)]
    for case in made:
        planted.plant(begin, case.folder, case.file, case.kind)
    return made


@pytest.mark.parametrize("chosen", [PIPES, OTHERS], ids=["pipes", "other kinds"])
def test_every_command_ends_by_itself_and_touches_nothing(tmp_path: Path, chosen: list[tuple[str, str, str]]) -> None:
    ended = planted.tried(cases(tmp_path, chosen))
    assert [f"{case.what}: {what}" for case, end in ended if (what := planted.fault(case, end))] == []


def test_both_starts_end_by_themselves_or_serve(tmp_path: Path) -> None:
    links = [(f".mitmproxy/{name}", "link to a file", "mitmdump") for name in ("mitmproxy-ca.pem", "mitmproxy-ca.p12")]
    chosen = [*product(OF_STARTS, ["pipe"], starts.STARTS), *links]
    ended = starts.tried(cases(tmp_path, chosen))
    assert [f"{case.what}: {what}" for case, end in ended if (what := starts.fault(case, end))] == []


WORDS = {
    "pipe": "it is a pipe",
    "folder": "it is a folder",
    "socket": "it is a socket",
    "link to nothing": "it is a symbolic link",
    "link to /dev/zero": "it is a symbolic link",
}


@pytest.mark.parametrize("kind", WORDS)
def test_what_is_no_regular_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    KINDS[kind](path)
    for use in (check_regular, open_regular):
        with pytest.raises(OSError, match=WORDS[kind]):
            use(path)
    with pytest.raises(OSError, match=r"it is a|No such"):
        read(path)


def test_a_link_to_a_file_is_read_where_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read(tmp_path / "link", 4) == b"cont"
    check_regular(tmp_path / "link", follow=True)


def test_a_result_is_written_into_a_file_or_a_pipe_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"an older and longer one")
    write_result(path, b"new")
    assert path.read_bytes() == b"new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device"):
        write_result(pipe, b"lost")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_result(pipe, b"result")
    assert os.read(reader, 100) == b"result"
    os.close(reader)
