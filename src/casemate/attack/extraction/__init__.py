"""Theft of a model: train a copy from its answers, and measure how far the copy agrees with it."""
