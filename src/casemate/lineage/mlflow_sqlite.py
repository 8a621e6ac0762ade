"""Reads an MLflow tracking database, an SQLite file, without MLflow; the file may be hostile.

It is opened read-only, runs nothing of its own (no views, triggers, functions or virtual tables are
touched), and is bounded in time, in rows and in the length of a value. Columns that an older MLflow
did not have are empty. Source: MLflow 3.17, `mlflow/store/*/dbmodels/models.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from casemate.errors import FormatError
from casemate.lineage.mlflow_told import Input, Model, Run, Told, Version, number, rows_of, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 120.0
LENGTH = 16 << 20
"""Bytes of one value."""
_STEPS = 20_000


def ask(path: Path, most: int) -> Told:
    """Return what the database tells, up to `most` rows of each table.

    Raises:
        FormatError: It is no database of MLflow's, is damaged or takes too long.
    """
    until = time.monotonic() + SECONDS
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        ) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LENGTH)
            database.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            for pragma in ("query_only = 1", "trusted_schema = 0", "cell_size_check = 1"):
                database.execute(f"PRAGMA {pragma}")
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _told(_Tables(database, most))
    except sqlite3.Error as error:
        raise FormatError(
            f"{path.name} cannot be read as a database of MLflow: {error}",
            hint="name the mlflow.db of --backend-store-uri; one in use is read through its server",
        ) from error


class _Tables:
    """The tables there are, and the columns each has."""

    def __init__(self, database: sqlite3.Connection, most: int) -> None:
        self._database, self._most = database, most
        self.notes: list[str] = []
        rows = database.execute(
            """SELECT name FROM sqlite_schema WHERE type = 'table'
            AND sql NOT LIKE 'CREATE VIRTUAL%' LIMIT 10000"""
        )
        self.names = {name for (name,) in rows}

    def rows(self, table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows of a table; None stands for a column it does not have."""
        if table not in self.names:
            return
        known = {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}
        wanted = ", ".join(name if name in known else "NULL" for name in columns)
        # The names of tables and columns are ours.
        ask = f"SELECT {wanted} FROM {table} LIMIT {self._most + 1}"  # noqa: S608
        for position, row in enumerate(self._database.execute(ask)):
            if position >= self._most:
                self.notes.append(f"only the first {self._most:,} rows of {table} were read")
                return
            yield row

    def pairs(self, table: str, *columns: str) -> dict[str, dict[str, str]]:
        """Return keys and values by what the first column names; the last two are the pair."""
        found: dict[str, dict[str, str]] = {}
        for *owner, key, value in self.rows(table, *columns):
            found.setdefault("/".join(map(text, owner)), {})[text(key)] = text(value)
        return found


def _told(tables: _Tables) -> Told:
    if "runs" not in tables.names and "registered_models" not in tables.names:
        raise FormatError(
            "the database has neither runs nor registered models: it is none of MLflow's",
            hint="name the mlflow.db of --backend-store-uri",
        )
    parameters = tables.pairs("params", "run_uuid", "key", "value")
    tags = tables.pairs("tags", "run_uuid", "key", "value")
    inputs, read = _inputs(tables)
    runs = [
        Run(
            text(ident), text(name), text(status), text(stage), number(started), text(artifacts),
            parameters.get(text(ident), {}), tags.get(text(ident), {}),
            inputs.get(text(ident), []), read.get(text(ident), []),
        )
        for ident, name, status, stage, started, artifacts in tables.rows(
            "runs", "run_uuid", "name", "status", "lifecycle_stage", "start_time", "artifact_uri"
        )
    ]  # fmt: skip
    models = [
        Model(text(ident), text(name), text(run), number(created), text(artifacts))
        for ident, name, run, created, artifacts in tables.rows(
            "logged_models", "model_id", "name", "source_run_id", "creation_timestamp_ms",
            "artifact_location",
        )
    ]  # fmt: skip
    version_tags = tables.pairs("model_version_tags", "name", "version", "key", "value")
    versions = [
        Version(
            text(name), text(version), text(source), text(run), number(created), text(stage),
            version_tags.get(f"{text(name)}/{text(version)}", {}),
        )
        for name, version, source, run, created, stage in tables.rows(
            "model_versions", "name", "version", "source", "run_id", "creation_time",
            "current_stage",
        )
    ]  # fmt: skip
    aliases = [
        (text(name), text(alias), text(version))
        for name, alias, version in tables.rows(
            "registered_model_aliases", "name", "alias", "version"
        )
    ]
    return Told(runs, models, versions, aliases, tables.notes)


def _inputs(tables: _Tables) -> tuple[dict[str, list[Input]], dict[str, list[str]]]:
    """Return by run the datasets and the models it read."""
    datasets = {
        text(ident): (text(name), text(digest), text(source), rows_of(text(profile)))
        for ident, name, digest, source, profile in tables.rows(
            "datasets", "dataset_uuid", "name", "digest", "dataset_source", "dataset_profile"
        )
    }
    contexts = {
        text(ident): text(value)
        for ident, name, value in tables.rows("input_tags", "input_uuid", "name", "value")
        if name == "mlflow.data.context"
    }
    inputs: dict[str, list[Input]] = {}
    read: dict[str, list[str]] = {}
    for ident, source_type, source, target_type, target in tables.rows(
        "inputs", "input_uuid", "source_type", "source_id", "destination_type", "destination_id"
    ):
        if source_type == "DATASET" and target_type == "RUN" and text(source) in datasets:
            name, digest, place, rows = datasets[text(source)]
            given = Input(name, digest, place, contexts.get(text(ident), ""), rows)
            inputs.setdefault(text(target), []).append(given)
        elif source_type == "RUN_INPUT" and target_type == "MODEL_INPUT":
            read.setdefault(text(source), []).append(text(target))
    return inputs, read
