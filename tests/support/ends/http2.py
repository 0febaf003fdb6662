"""An end of an HTTP/2 connection, which a test drives frame by frame."""

from collections.abc import Callable, Iterable
from typing import cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from tests.support.ends.connection import End

type Fields = list[tuple[bytes, bytes]]
_WINDOW = (1 << 31) - 1
# What says how the connection itself is used, not what passes on it.
_OWN = (
    events.RemoteSettingsChanged,
    events.SettingsAcknowledged,
    events.WindowUpdated,
    events.PingReceived,
    events.PingAckReceived,
    events.PriorityUpdated,
)


class Http2End:
    """A client's or a provider's end; `got` tells what has come, stream by stream, in the order in which it came."""

    def __init__(self, end: End, *, client: bool) -> None:
        self.end = end
        self._h2 = H2Connection(H2Configuration(client_side=client, header_encoding=None))
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 24, SettingCodes.MAX_CONCURRENT_STREAMS: 100})
        self._h2.increment_flow_control_window(_WINDOW - 65_535)
        self._events: list[events.Event] = []
        self.got: dict[int, list[tuple[object, ...] | bytearray]] = {}
        self._flush()

    def headers(self, stream: int, fields: Iterable[tuple[str, str]], *, ends: bool = False) -> None:
        self._h2.send_headers(stream, [(n.encode("latin-1"), v.encode("latin-1")) for n, v in fields], end_stream=ends)
        self._flush()

    def data(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send as much as the other side takes, reading what it says in between."""
        sent = 0
        while True:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if len(data) - sent <= room:
                self._h2.send_data(stream, data[sent:], end_stream=ends)
                self._flush()
                return
            if room:
                self._h2.send_data(stream, data[sent : sent + room])
                self._flush()
                sent += room
            else:
                self._receive()

    def trailers(self, stream: int, fields: Iterable[tuple[str, str]]) -> None:
        self.headers(stream, fields, ends=True)

    def reset(self, stream: int, code: int = 8) -> None:
        self._h2.reset_stream(stream, code)
        self._flush()

    def go_away(self) -> None:
        self._h2.close_connection()
        self._flush()

    def until[E: events.Event](self, kind: type[E], stream: int) -> E:
        """Read until such an event has come for the stream, and return it."""
        return self._first(lambda event: isinstance(event, kind) and getattr(event, "stream_id", 0) == stream)  # type: ignore[return-value]

    def until_data(self, stream: int, data: bytes) -> None:
        """Read until exactly these bytes have come, in however many frames."""
        got = bytearray()
        while len(got) < len(data):
            got += self.until(events.DataReceived, stream).data or b""
        assert got == data

    def body(self, stream: int) -> bytes:
        """Read the stream to its end."""
        got = bytearray()
        while True:
            event = self._first(
                lambda event: isinstance(event, events.DataReceived | events.StreamEnded) and event.stream_id == stream
            )
            if isinstance(event, events.StreamEnded):
                return bytes(got)
            assert isinstance(event, events.DataReceived)
            got += event.data or b""

    def _first(self, wanted: Callable[[events.Event], bool]) -> events.Event:
        while True:
            for place, event in enumerate(self._events):
                if wanted(event):
                    return self._events.pop(place)
            self._receive()

    def _receive(self) -> None:
        data = self.end.some()
        assert data, f"the connection has ended, after {self.got}"
        for event in self._h2.receive_data(data):
            if isinstance(event, events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            if not isinstance(event, _OWN):
                self._events.append(event)
                self._note(event)
        self._flush()

    def _note(self, event: events.Event) -> None:
        stream = getattr(event, "stream_id", 0) or 0
        known = self.got.setdefault(stream, [])
        if isinstance(event, events.DataReceived):
            if not known or not isinstance(known[-1], bytearray):
                known.append(bytearray())
            cast("bytearray", known[-1]).extend(event.data or b"")
        else:
            what = [getattr(event, name, None) for name in ("headers", "error_code")]
            known.append((type(event).__name__, *(one for one in what if one is not None)))

    def _flush(self) -> None:
        self.end.send(self._h2.data_to_send())
