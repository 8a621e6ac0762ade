"""The guard: every inference on record, and a policy between the caller and the model.

A pure inside (`Call` and `Reply` in, `Event` and an action out; no sockets, no clock of its own)
in thin shells: ASGI, WSGI, reverse proxy, Envoy external processor. Judges come in as an argument.
"""
