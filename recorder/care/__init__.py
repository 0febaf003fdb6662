"""Care: status of the recording, checks of a database, import of other databases' rows, and the health of a proxy."""
