"""Ids that providers give to requests, in the shapes that each of them has."""

from random import Random

from tests.trials.bench.made_up.catalogue import Service, Wire

_LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PIECES = 1024
_MASK = _PIECES - 1


class RequestIds:
    """Makes ids. Those of letters are put together of pieces, since single letters take five times as long."""

    def __init__(self, random: Random) -> None:
        """All that is random comes from `random`."""
        self._random = random
        self._pieces = ["".join(random.choices(_LETTERS, k=4)) for _ in range(_PIECES)]

    def of(self, service: Service, moment: int) -> str | None:
        """Return an id of the service; None for those that give none, and for Google's, which no header has."""
        wire, sdk = service.wire, service.sdk
        if wire is Wire.MESSAGES:
            return f"req_011C{self._letters()}"
        if wire is Wire.OPENROUTER:
            return f"gen-{moment // 1000}-{self._letters()}"
        if wire is Wire.CONVERSE:
            digits = f"{self._random.getrandbits(128):032x}"
            return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
        if sdk == "openai" and wire is not Wire.VLLM:
            return f"req_{self._random.getrandbits(128):032x}"
        return None

    def _letters(self) -> str:
        """Return twenty letters and digits."""
        pieces, bits = self._pieces, self._random.getrandbits(50)
        return (
            f"{pieces[bits & _MASK]}{pieces[bits >> 10 & _MASK]}{pieces[bits >> 20 & _MASK]}"
            f"{pieces[bits >> 30 & _MASK]}{pieces[bits >> 40 & _MASK]}"
        )
