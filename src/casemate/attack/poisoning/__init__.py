"""Attacks on the training data: what a share of false labels costs the model trained on them."""
