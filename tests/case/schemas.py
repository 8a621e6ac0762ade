"""The published schemas, where this machine has them."""

import json

import pytest

from tests.arch.house import REFERENCE

CACAO = REFERENCE / "schemas" / "cacao"


def cacao_faults(body):
    """Return what the CACAO 2.0 schemas have against a playbook, each command by its own schema."""
    if not CACAO.is_dir():
        pytest.skip("no CACAO schemas on this machine")
    import jsonschema
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT7

    known = {path: json.loads(path.read_text("utf-8")) for path in CACAO.rglob("*.json")}
    registry = Registry().with_resources(
        (one["$id"], Resource.from_contents(one, default_specification=DRAFT7))
        for one in known.values()
    )

    def faults(schema, value):
        validator = jsonschema.Draft7Validator(schema, registry=registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    found = faults(known[CACAO / "playbook.json"], body)
    for step in body["workflow"].values():
        for command in step.get("commands", ()):
            found += faults(known[CACAO / "commands" / f"{command['type']}.json"], command)
    return found
