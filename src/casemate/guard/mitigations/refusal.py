"""The one answer of a guard that refuses: the same whatever the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.guard.call import Reply

if TYPE_CHECKING:
    from casemate.guard.call import Headers

_BODY = b'{"error":"request not accepted"}'
_JSON = (("content-type", "application/json"),)


def refuse(protocol: str, status: int = 403, extra: Headers = ()) -> Reply:
    """Return a refusal in the manner of a protocol.

    Args:
        protocol: gRPC says its status in a header of its own.
        status: For HTTP.
        extra: Headers besides, such as `retry-after`.
    """
    if protocol == "oip-grpc":
        code = {400: "3", 401: "16", 413: "8", 429: "8", 502: "14"}.get(status, "7")
        said = (("grpc-status", code), ("grpc-message", "request not accepted"))
        return Reply(200, (("content-type", "application/grpc"), *said, *extra), b"")
    return Reply(status, (*_JSON, *extra), _BODY)
