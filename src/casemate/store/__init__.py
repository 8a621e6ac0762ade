"""The workspace: every run and record kept in SQLite, blobs by digest beside it."""

from casemate.store.workspace import Workspace

__all__ = ["Workspace"]
