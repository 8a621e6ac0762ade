"""The tables of a workspace, as the ordered steps that made them.

`PRAGMA user_version` counts the steps applied. A step is never edited once released: a change is a
new step, so that a workspace of any age can be brought up to date in one transaction.
"""

from __future__ import annotations

APPLICATION_ID = 0x43534D54
"""`CSMT`: tells a workspace from any other SQLite file."""

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            verb TEXT NOT NULL,
            state TEXT NOT NULL,
            body BLOB NOT NULL
        )""",
        """CREATE TABLE records (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES runs (id),
            schema TEXT NOT NULL,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX records_of_a_run ON records (run, number)",
        "CREATE TABLE cache (key TEXT PRIMARY KEY, body BLOB NOT NULL)",
    ),
)
