"""What the guard can do about a caller, one file per action; each expires and can be undone."""
