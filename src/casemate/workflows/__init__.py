"""The loop: the only place where stages meet."""
