"""System in, threats out: which catalog attacks apply, and why."""
