"""Bounded readers of hostile bytes; nothing here imports, unpickles or evaluates what it reads."""
