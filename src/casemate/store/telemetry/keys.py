"""The key that signs the log: Ed25519, in a file of its owner outside the telemetry.

Who can write the telemetry must not be able to sign it; the place of the key is the caller's to
choose, and a key that lies within the telemetry is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.errors import StoreError, UsageError
from casemate.store.keys import key_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

VARIABLE = "CASEMATE_LOG_KEY"


def key_path(environment: Mapping[str, str]) -> Path:
    """Return where the signing key is: what CASEMATE_LOG_KEY says, else in the folder of keys."""
    named = environment.get(VARIABLE)
    return Path(named) if named else key_folder(environment) / "log.pem"


def signing_key(path: Path, telemetry: Path) -> Ed25519PrivateKey:
    """Read the signing key, or make one where there is none.

    Raises:
        UsageError: It lies within the telemetry, others may read it, or it is no such key.
        StoreError: It cannot be read or made.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if telemetry.resolve() in path.resolve().parents:
        raise UsageError(
            f"the signing key {path} lies within the telemetry it signs",
            hint=f"name a file elsewhere in {VARIABLE}",
        )
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise UsageError(f"others may read {path}", hint=f"chmod 600 {path}")
        try:
            key = serialization.load_pem_private_key(file.read(65536), password=None)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{path} is no private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is no Ed25519 key")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """Read a public key from a PEM file.

    Raises:
        UsageError: It is not there, or no such key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is no Ed25519 key")
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return the key as PEM."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def raw(key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of the key."""
    return key.public_bytes_raw()


def _make(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made.unlink(missing_ok=True)
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, path)  # unlike a rename it never replaces a key made meanwhile
        except FileExistsError:
            key = signing_key(path, made / "nowhere")
        made.unlink()
    except OSError as error:
        raise StoreError(
            f"the signing key {path} cannot be made: {error.strerror}",
            hint=f"name another file in {VARIABLE}",
        ) from error
    return key
