"""Version 5: what each call consumed and is billed for, as its wire format's reading says.

Calls of before have the provider's own numbers alone, in `usage`, which are read again when they are priced. Published:
never edited.
"""

from sqlite_utils import Database


def apply(db: Database) -> None:
    """Add the column; JSON of quantities under genai-prices' names, NULL where they are not known."""
    db.execute("ALTER TABLE completion_requests ADD COLUMN billed TEXT")
