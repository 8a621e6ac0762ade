"""The workspace: every run and record kept in SQLite, blobs by digest beside it."""
