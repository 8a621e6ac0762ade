"""An alias of an MLflow registry is set back to a version that was good; nothing else is touched.

Source: MLflow 3.17, `mlflow/protos/model_registry.proto`: setRegisteredModelAlias and
getModelVersionByAlias.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import MissingExtra, Refused, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.targets.service import Service

API = "/api/2.0/mlflow"


class Moved(NamedTuple):
    """What an alias stood for, and what it stands for now."""

    model: str
    alias: str
    former: str | None
    """None where the alias did not exist."""
    now: str


class Registered(NamedTuple):
    """A registered model as the registry has it now."""

    versions: tuple[str, ...]
    """Newest last; those that are not ready are left out."""
    aliases: Mapping[str, str]


def registered(
    url: str, model: str, *, environ: Mapping[str, str] | None = None
) -> Registered | None:
    """Return the versions and aliases of a registered model, None where there is none such.

    Raises:
        TargetError: The registry cannot be asked.
        UsageError: The address is none, or holds credentials.
    """
    with _service(url, environ) as service:
        try:
            said = service.get(f"{API}/registered-models/get", name=model)["registered_model"]
        except Refused as refusal:
            if "404" in str(refusal):
                return None
            raise
        aliases = {
            str(one.get("alias")): str(one.get("version")) for one in said.get("aliases") or ()
        }
        quoted = model.replace("'", "\\'")
        rows: list[str] = []
        token = ""
        for _ in range(100):
            more = {"page_token": token} if token else {}
            page = service.get(
                f"{API}/model-versions/search", filter=f"name='{quoted}'", max_results=200, **more
            )
            rows += [
                str(one.get("version"))
                for one in page.get("model_versions") or ()
                if one.get("status") in (None, "READY")
            ]
            token = str(page.get("next_page_token") or "")
            if not token:
                break
        return Registered(tuple(sorted(rows, key=lambda one: (len(one), one))), aliases)


def mlflow_alias(
    url: str, model: str, alias: str, to_version: str, *, environ: Mapping[str, str] | None = None
) -> Moved:
    """Set an alias to a version and return what it was; whoever calls has asked before.

    Doing it again with `former` undoes it.

    Raises:
        TargetError: The registry cannot be asked, or says afterwards that it did not happen.
        UsageError: There is no such model, or no such version that is ready.
    """
    found = registered(url, model, environ=environ)
    if found is None:
        raise UsageError(f"the registry has no model '{model}'")
    if to_version not in found.versions:
        raise UsageError(
            f"{model} has no version {to_version} that is ready",
            hint=f"versions: {', '.join(found.versions[-8:]) or 'none'}",
        )
    body = {"name": model, "alias": alias, "version": to_version}
    with _service(url, environ) as service:
        service.send("POST", f"{API}/registered-models/alias", body)
        said = service.get(f"{API}/registered-models/alias", name=model, alias=alias)
        now = str((said.get("model_version") or {}).get("version"))
    if now != to_version:
        raise TargetError(f"{model}@{alias} still stands for version {now}")
    return Moved(model, alias, found.aliases.get(alias), now)


def _service(url: str, environ: Mapping[str, str] | None) -> Service:
    try:
        from casemate.targets.service import Service
    except ModuleNotFoundError as error:
        raise MissingExtra("http", for_="asking a registry") from error
    return Service(url, os.environ if environ is None else environ)
