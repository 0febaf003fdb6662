"""What is noted of one direction of an exchange while it passes: the pieces of its body, and when each came."""

MOST_PIECES = 250  # that may wait to be read
LONG_PIECE = 1024  # bytes, from which on it is counted how many wait
_MOST_BYTES = 64 * 1024


class Notes:
    """Pieces and their moments, side by side, until they are read. The lists stay the same ones."""

    __slots__ = ("moments", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.moments: list[int] = []

    def add(self, data: bytes, at: int) -> bool:
        """Note a piece; True if it is time to read."""
        self.pieces.append(data)
        self.moments.append(at)
        return (len(data) > LONG_PIECE or len(self.pieces) > MOST_PIECES) and self.are_many()

    def are_many(self) -> bool:
        """Tell whether so much waits that it is time to read; asked after a long piece, or after many."""
        return len(self.pieces) > MOST_PIECES or sum(map(len, self.pieces)) > _MOST_BYTES

    def take(self) -> tuple[list[bytes], list[int]]:
        """Return what there is, and begin anew."""
        taken = self.pieces.copy(), self.moments.copy()
        self.pieces.clear()
        self.moments.clear()
        return taken
