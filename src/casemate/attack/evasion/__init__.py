"""Attacks that change an input so that a trained model answers wrongly."""
