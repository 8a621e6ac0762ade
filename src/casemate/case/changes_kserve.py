"""Changes of a KServe InferenceService: back to the revision, or the weights, that were good.

Source: kserve.github.io, "Canary Rollout Strategy": KServe keeps the last revision that had all
traffic; `canaryTrafficPercent: 0` sends everything to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from casemate.errors import FormatError, UsageError

if TYPE_CHECKING:
    from casemate.case.changes import Wish
    from casemate.formats.yaml import Item

HOW = (
    "apply: patch {file} < change; check: kubectl apply --dry-run=server -f {file}, then without "
    "--dry-run; undo: patch -R {file} < change, then apply again"
)


def recognises(text: str) -> bool:
    """Say whether one of the documents is an InferenceService."""
    return bool(_services(text))


def rewrite(text: str, wish: Wish) -> tuple[str, list[str]]:
    """Return the changed text and what the change does not do.

    Raises:
        UsageError: KServe cannot do this, or the service has no predictor.
    """
    if wish.action != "last-good":
        raise UsageError(
            f"KServe cannot {wish.action} callers: it knows none",
            hint="--patch the gateway before it: the nginx or Envoy configuration",
        )
    edits: list[tuple[int, int, str]] = []
    notes = []
    for service in _services(text):
        predictor = _at(service, "spec", "predictor")
        if predictor is None or not isinstance(predictor.value, dict):
            raise UsageError("the InferenceService has no spec.predictor")
        uri = wish.upstream
        if uri is None or uri.startswith(("http://", "https://")):
            edits.append(_canary(predictor, text))
            notes.append(
                "canaryTrafficPercent works where KServe is deployed serverless; elsewhere give "
                "the weights: --set upstream=s3://bucket/model/last-good"
            )
        else:
            edits.append(_storage(predictor, uri))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text, notes


def _services(text: str) -> list[Item]:
    from casemate.formats.yaml import documents

    if "InferenceService" not in text:
        return []
    try:
        found = list(documents(text))
    except FormatError:
        return []
    return [one for one in found if _value(one, "kind") == "InferenceService"]


def _canary(predictor: Item, text: str) -> tuple[int, int, str]:
    there = predictor.value.get("canaryTrafficPercent")
    if there is not None:
        return there.start, there.end, "0"
    if predictor.flow:
        return predictor.start + 1, predictor.start + 1, '"canaryTrafficPercent": 0, '
    line = text.rfind("\n", 0, predictor.start) + 1
    lead = text[line : predictor.start]
    return line, line, f"{lead}canaryTrafficPercent: 0\n"


def _storage(predictor: Item, uri: str) -> tuple[int, int, str]:
    for name, each in predictor.value.items():
        found = each if name == "storageUri" else _at(each, "storageUri")
        if found is not None and isinstance(found.value, str):
            return found.start, found.end, json.dumps(uri)
    raise UsageError(
        "the predictor has no storageUri",
        hint="leave upstream out to go back to the revision before",
    )


def _at(item: Item, *keys: str) -> Item | None:
    for key in keys:
        if not isinstance(item.value, dict) or key not in item.value:
            return None
        item = item.value[key]
    return item


def _value(item: Item, *keys: str) -> Any:
    found = _at(item, *keys)
    return None if found is None else found.value
