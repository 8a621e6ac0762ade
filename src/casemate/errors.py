"""Every exception casemate raises on purpose.

    CasemateError            .hint: what to do next, one line
    ├── UsageError           the caller asked for something that cannot be     -> exit 2
    │   ├── NotFound         there is no record of that name
    │   └── Conflict         somebody else came first; look again, then decide
    ├── MissingExtra         an optional dependency is not installed           -> exit 2
    ├── CatalogError         an entry is wrong; carries file and key           -> exit 2
    ├── FormatError          bytes are not what they claim                     -> a Finding in scan
    │   └── LimitExceeded    a bound was hit: size, depth, ratio, count        -> a Finding in scan
    ├── TargetError          a model or endpoint failed; .retry says whether to ask again
    │   └── Refused          it would not answer this question, and says so
    ├── BudgetSpent          an attack has used its allowance; control flow inside attack
    └── StoreError           the workspace cannot be read or written; never repaired silently

Library code raises these; the command line prints `error: ...` and `hint: ...` and picks
the exit code.
"""

from __future__ import annotations


class CasemateError(Exception):
    """The root: a message for a person and, where there is one, the next thing to try."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CasemateError):
    """The caller asked for something that cannot be."""


class NotFound(UsageError):
    """There is no record of that name."""


class Conflict(UsageError):
    """Somebody else came first; look again, then decide."""


class MissingExtra(CasemateError):
    """An optional dependency is not installed; the hint is the command that installs it."""

    def __init__(self, extra: str, *, for_: str) -> None:
        super().__init__(
            f"{for_} needs the extra '{extra}', which is not installed",
            hint=f"pip install 'casemate[{extra}]'",
        )
        self.extra = extra


class CatalogError(CasemateError):
    """A catalog entry is wrong."""

    def __init__(self, file: str, key: str, message: str) -> None:
        super().__init__(f"catalog entry {file}: {key}: {message}")
        self.file = file
        self.key = key


class FormatError(CasemateError):
    """Bytes are not what they claim to be.

    Args:
        message: What is wrong, in one line.
        offset: Byte offset in the stream being read, where known.
        hint: What to do next.
    """

    def __init__(self, message: str, *, offset: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class LimitExceeded(FormatError):
    """A bound on hostile input was hit: size, depth, ratio or count."""


class TargetError(CasemateError):
    """A model or an endpoint failed.

    Args:
        message: What happened, in one line.
        retry: Whether the same request may succeed later.
        hint: What to do next.
    """

    def __init__(self, message: str, *, retry: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry = retry


class Refused(TargetError):
    """An endpoint would not answer this question, though it answers others."""


class BudgetSpent(CasemateError):
    """An attack has used its allowance; raised by the oracle, caught by the run loop."""


class StoreError(CasemateError):
    """The workspace cannot be read or written, or does not verify."""
