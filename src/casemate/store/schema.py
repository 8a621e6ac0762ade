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
    (
        """CREATE TABLE orders (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            expires INTEGER NOT NULL,
            undoes TEXT,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX orders_by_end ON orders (expires)",
        "CREATE INDEX orders_undone ON orders (undoes) WHERE undoes IS NOT NULL",
        """CREATE TABLE topics (
            channel TEXT NOT NULL,
            topic TEXT NOT NULL,
            told INTEGER,
            times INTEGER NOT NULL,
            seen INTEGER NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (channel, topic)
        )""",
        """CREATE TABLE pages (
            id TEXT PRIMARY KEY,
            channel TEXT NOT NULL,
            state TEXT NOT NULL,
            made INTEGER NOT NULL,
            next INTEGER NOT NULL,
            tries INTEGER NOT NULL,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX pages_of_a_channel ON pages (channel, made)",
        "CREATE INDEX pages_waiting ON pages (next) WHERE state = 'due'",
    ),
    (
        "ALTER TABLE topics ADD COLUMN severity INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE topics ADD COLUMN conclusion INTEGER NOT NULL DEFAULT 0",
    ),
    (
        """CREATE TABLE cases (
            id TEXT PRIMARY KEY,
            state TEXT NOT NULL,
            version INTEGER NOT NULL,
            body BLOB NOT NULL
        )""",
        """CREATE TABLE actions (
            case_id TEXT NOT NULL REFERENCES cases (id),
            number INTEGER NOT NULL,
            digest TEXT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (case_id, number)
        )""",
        """CREATE TABLE guards (
            writer TEXT PRIMARY KEY,
            seen INTEGER NOT NULL,
            body BLOB NOT NULL
        )""",
        """CREATE TABLE vulnerabilities (
            id TEXT PRIMARY KEY,
            state TEXT NOT NULL,
            version INTEGER NOT NULL,
            body BLOB NOT NULL
        )""",
        """CREATE TABLE lineage_nodes (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            digest TEXT,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX lineage_nodes_of_a_kind ON lineage_nodes (kind)",
        "CREATE INDEX lineage_nodes_by_digest ON lineage_nodes (digest) WHERE digest IS NOT NULL",
        """CREATE TABLE lineage_names (
            name TEXT NOT NULL,
            node INTEGER NOT NULL REFERENCES lineage_nodes (number),
            PRIMARY KEY (name, node)
        ) WITHOUT ROWID""",
        """CREATE TABLE lineage_edges (
            number INTEGER PRIMARY KEY,
            source INTEGER NOT NULL REFERENCES lineage_nodes (number),
            target INTEGER NOT NULL REFERENCES lineage_nodes (number),
            relation TEXT NOT NULL,
            confidence REAL NOT NULL,
            body BLOB NOT NULL,
            UNIQUE (source, target, relation)
        )""",
        "CREATE INDEX lineage_edges_into ON lineage_edges (target)",
        "CREATE INDEX lineage_steps ON lineage_edges (confidence, source, target)",
        "CREATE INDEX lineage_same ON lineage_edges (confidence) WHERE relation = 'same-as'",
        """CREATE TABLE lineage_rows (
            node INTEGER PRIMARY KEY REFERENCES lineage_nodes (number),
            rows INTEGER NOT NULL,
            blob TEXT NOT NULL
        )""",
    ),
    (
        "ALTER TABLE cases ADD COLUMN lines INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE cases ADD COLUMN head TEXT NOT NULL DEFAULT ''",
    ),
)
