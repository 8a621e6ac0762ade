"""Attestation: exported records bound into a chain, as OCSF's profile `record_integrity` has it.

Each record carries the SHA-256 of its own canonical form and of the one before it, so that what
lies in a SIEM can be held against loss and change without asking us. The log that everything rests
on is `casemate.store.telemetry`; this is what travels with the copies.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from casemate.export.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Json = dict[str, Any]
PROFILE = "record_integrity"
_SHA256, _HEX, _JCS, _OTHER = 3, 1, 2, 99


class Chain:
    """One chain of exported records."""

    def __init__(
        self,
        uid: str,
        *,
        authority: str = "casemate",
        sign: Callable[[bytes], bytes] | None = None,
        previous: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin or go on with a chain.

        Args:
            uid: Names the chain; the same for all its records.
            authority: Whose key signs, for the reader to tell.
            sign: Signs 32 bytes with Ed25519; None leaves the fingerprints by themselves.
            previous: The last record of the chain, where it goes on.
        """
        self._uid = uid
        self._authority = authority
        self._sign = sign
        self._previous = None if previous is None else _reference(previous)

    def attest(self, record: Json) -> Json:
        """Return the record with its attestation; its profiles and version say so."""
        metadata = record["metadata"]
        profiles = [*metadata.get("profiles", ()), PROFILE]
        attestation: Json = {"authority_uid": self._authority, "chain_uid": self._uid}
        if self._previous is not None:
            attestation["prev_event"] = self._previous
        # The profile came with 1.9.0, which is a draft.
        whole = {
            **record,
            "metadata": {**metadata, "profiles": profiles, "version": "1.9.0-dev"},
            "attestation_list": [attestation],
        }
        digest = hashlib.sha256(canonical(whole)).digest()
        attestation["fingerprint"] = {
            "algorithm": "SHA-256",
            "algorithm_id": _SHA256,
            "encoding": "Hex",
            "encoding_id": _HEX,
            "serialization": "JCS",
            "serialization_id": _JCS,
            "value": digest.hex(),
        }
        if self._sign is not None:
            attestation["signatures"] = [
                {
                    "algorithm": "Ed25519",
                    "algorithm_id": _OTHER,
                    "serialization": "JCS",
                    "serialization_id": _JCS,
                    "digest": {
                        "algorithm": "Ed25519 signature over the SHA-256",
                        "algorithm_id": _OTHER,
                        "value": base64.b64encode(self._sign(digest)).decode(),
                    },
                }
            ]
        self._previous = _reference(whole)
        return whole


def faults(
    records: Iterable[Json], verify: Callable[[bytes, bytes], bool] | None = None
) -> list[str]:
    """Return what is wrong with a chain of records, in words; nothing when it is whole.

    What is missing at the end cannot be seen from the records alone.

    Args:
        records: In order.
        verify: Says whether a signature (first) is right for 32 bytes (second).
    """
    found = []
    expected: Json | None = None
    for place, record in enumerate(records):
        name = f"record {place}"
        try:
            name = f"record {place} ({record['metadata']['uid']})"
            following = _reference(record)
            (attestation,) = record["attestation_list"]
            given = attestation["fingerprint"]["value"]
            bare = {k: v for k, v in attestation.items() if k not in ("fingerprint", "signatures")}
            digest = hashlib.sha256(canonical({**record, "attestation_list": [bare]})).digest()
            signatures = [
                base64.b64decode(one["digest"]["value"], validate=True)
                for one in attestation.get("signatures", ())
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            found.append(f"{name} carries no attestation that can be read")
            expected = None
            continue
        if digest.hex() != given:
            found.append(f"{name} was changed")
        if verify is not None and not (
            signatures and all(verify(one, digest) for one in signatures)
        ):
            found.append(f"{name} is not signed by this key")
        previous = attestation.get("prev_event")
        if place == 0:
            if previous is not None:
                found.append(f"{name} is not the first of its chain")
        elif expected is not None and previous != expected:
            found.append(f"{name} does not follow the one before it")
        expected = following
    return found


def _reference(record: Mapping[str, Any]) -> Json:
    (attestation,) = record["attestation_list"]
    return {
        "uid": record["metadata"]["uid"],
        "type_uid": record["type_uid"],
        "fingerprint": attestation["fingerprint"],
    }
