"""Events on disk: journal, sealed Parquet segments, tamper-evident log, queries over all of it."""
