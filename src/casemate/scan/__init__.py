"""Artifacts in, findings out, with a verdict per file; nothing scanned is ever executed."""
