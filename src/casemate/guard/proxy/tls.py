"""TLS on both sides: TLS 1.2 at least, and an upstream is always verified."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from casemate.errors import UsageError

if TYPE_CHECKING:
    from casemate.guard.policy import GuardTable


def served_context(settings: GuardTable) -> ssl.SSLContext | None:
    """Return the context callers are met with; None when the guard is to speak plain HTTP.

    Raises:
        UsageError: Only one of certificate and key is given, or they cannot be used.
    """
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise UsageError("tls_cert and tls_key go together")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An encrypted key would ask at the terminal of a daemon: an empty password fails at once.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the TLS certificate or key cannot be used: {error}") from error
    return context


def upstream_context(settings: GuardTable) -> ssl.SSLContext:
    """Return the context an `https` upstream is asked with: its name and certificate are verified.

    Raises:
        UsageError: `upstream_ca` cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.upstream_ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"upstream_ca cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
