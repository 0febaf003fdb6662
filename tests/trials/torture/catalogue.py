"""All fault tests, in the order in which they run."""

from functools import partial
from typing import Final

from tests.trials.torture import (
    broken,
    copies,
    full,
    hygiene,
    kills,
    loads,
    moved,
    planted,
    power,
    proxied,
    restores,
    rights,
    spilling,
    starting,
    through_proxy,
    users,
    whole,
)
from tests.trials.torture.case import Case
from tests.trials.torture.faults import DAMAGES, FOLDER_MOVES, MOVES, WAL_DAMAGES

_SEVERAL = 4

CASES: Final = (
    Case("T1", "4 processes start at once on an old file", starting.together),
    Case("T1", "the same without the outer lock", starting.together_without_lock, is_control=True),
    Case("T2", "kill -9 of a migration", starting.killed),
    Case("T3", "kill -9 of a recorder under load", kills.killed),
    Case("T3", "what killed recorders leave behind", kills.left_behind),
    Case("T3", "submitted taken for acknowledged", kills.killed_with_false_acknowledgements, is_control=True),
    Case("T4", "power cut while writing", power.cut),
    Case("T4", "power cut while events are kept aside", power.cut_while_spilling),
    Case("T4", "power cut with synchronous=NORMAL", power.cut_with_normal, is_control=True),
    Case("T5", "backups under 3000 events/s", copies.backups),
    Case("T5", "shutil.copy of the file", copies.plain_copies, is_control=True),
    Case("T5", "shutil.copy of the file and its WAL", copies.plain_copies_with_wal, is_control=True),
    Case("T6", "backup of a locked database ends", copies.locked_for_ever),
    Case("T6", "Connection.backup alone", copies.locked_for_ever_bare, is_control=True),
    Case("T7", "restore under readers and a writer", restores.live),
    Case("T7", "a backup renamed over the live file", restores.live_by_rename, is_control=True),
    Case("T7", "kill -9 of a restore", restores.killed),
    Case("T7", "restore of a locked database ends", restores.locked),
    Case("T8", "disk full, database and spill file alike", full.disk_full),
    Case("T8", "files cannot grow (RLIMIT_FSIZE)", full.file_size_limit),
    *(
        Case("T9", f"{how}, {count} recorder{'s' if count > 1 else ''}", partial(moved.moved, how=how, recorders=count))
        for count in (1, _SEVERAL)
        for how in MOVES
    ),
    Case("T9", "all three unlinked while nothing is recorded, then the end", moved.removed_while_idle),
    *(Case("T22", f"folder {how}", partial(moved.folder_moved, how=how)) for how in FOLDER_MOVES),
    Case("T10", "damaged files at the start", broken.damaged_at_the_start),
    *(
        Case("T21", f"while recording: {how}", partial(broken.damaged_while_recording, how=how))
        for how in (*DAMAGES, *WAL_DAMAGES)
    ),
    Case("T11", "rights are missing", rights.without_rights),
    Case("T12", "planted symbolic links", rights.planted_links),
    Case("T13", "4 processes make backups in the same millisecond", copies.same_millisecond),
    Case("T14", "kill -9 of a replay", spilling.killed_replay),
    Case("T14", "torn, flipped and foreign lines", spilling.damaged_lines),
    Case("T14", "bounds of a file and of all", spilling.bounds),
    Case("T15", "nothing but SQLite opens the live files", hygiene.opened),
    Case("T15", "the process reads its database", hygiene.opened_carelessly, is_control=True),
    Case("T16", "a reader pins the WAL", loads.pinned_wal),
    Case("T17", "lateness of the event loop", loads.lateness),
    Case("T18", "sqlite-utils commands while recording", users.actions),
    Case("T18", "sqlite-utils transform while recording", users.transform),
    Case("T24", "people change the file while recording", users.edits),
    Case("T24", "the same through mitmdump", users.proxied),
    Case("T19", "rows that cannot be stored", loads.poison),
    Case("T20", "the end while the database is locked", loads.closed_while_locked),
    Case("T23", "every command against pipes, links, devices in place of files", planted.commands),
    Case("T23", "both starts against the same", planted.both_starts),
    Case("WHOLE", "10 s lock, disk full, files removed", whole.one_after_the_other),
    Case("PROXY", "the same through mitmdump, and its latency", proxied.latency),
    Case("T25", "files overwritten and folders moved under a mitmdump", through_proxy.overwritten_and_moved),
    Case("LARGE", "backup and restore of a large file while recording", whole.large_file),
)
