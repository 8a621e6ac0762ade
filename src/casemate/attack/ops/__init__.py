"""Losses, projections and schedules, each once."""
