"""Tracked weaknesses: scores from measured facts, and who is affected."""
