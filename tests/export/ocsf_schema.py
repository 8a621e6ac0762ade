"""The rules of OCSF read from its own sources: required, known, typed, enumerated, constrained."""

import json
import re
from functools import cache
from pathlib import Path

from tests.arch.house import REFERENCE

ROOT = REFERENCE / "schemas" / "ocsf"
PRIMITIVES = {
    "string_t": str, "integer_t": int, "long_t": int, "float_t": (int, float), "boolean_t": bool,
    "json_t": object, "object": dict,
}  # fmt: skip


@cache
def read(path):
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


@cache
def dictionary():
    return read("dictionary.json")


@cache
def places(folder):
    return {
        json.loads(path.read_text(encoding="utf-8")).get("name", path.stem): path.relative_to(ROOT)
        for path in (ROOT / folder).rglob("*.json")
    }


def shape(folder, name, profiles):
    """Return attributes and constraints of a class or object, inherited and included ones too."""
    path = places(folder).get(name) or Path(folder) / f"{name}.json"
    body = read(path)
    attributes, constraints = {}, {}
    parent = body.get("extends")
    if parent and parent != name:
        attributes, constraints = shape(folder, parent, profiles)
    constraints = {**constraints, **body.get("constraints", {})}
    own = dict(body.get("attributes", {}))
    for included in own.pop("$include", []):
        profile = Path(included).stem
        if profile in profiles:
            for key, given in read(included)["attributes"].items():
                attributes[key] = merged(attributes.get(key, {}), given)
    for key, given in own.items():
        attributes[key] = merged(attributes.get(key, {}), given)
    return attributes, constraints


def merged(old, new):
    both = {**old, **new}
    if "enum" in old or "enum" in new:
        both["enum"] = {**old.get("enum", {}), **new.get("enum", {})}
    return both


def faults(record):
    """Return every way in which a record breaks its class, in words."""
    uids = {}
    categories = read("categories.json")["attributes"]
    for name, path in places("events").items():
        body = read(path)
        category, seen = body.get("category"), body
        while category is None and seen.get("extends"):
            seen = read(places("events")[seen["extends"]])
            category = seen.get("category")
        if "uid" in body:
            uids[1000 * categories[category]["uid"] + body["uid"]] = (name, category)
    name, category = uids[record["class_uid"]]
    found = _object(record, "events", name, record["metadata"].get("profiles", []), name)
    if record["category_uid"] != categories[category]["uid"]:
        found.append("category_uid")
    if record["type_uid"] != 100 * record["class_uid"] + record["activity_id"]:
        found.append("type_uid")
    return found


def _object(value, folder, name, profiles, where):
    attributes, constraints = shape(folder, name, profiles)
    found = []
    if folder == "objects" and name == "object":
        return found
    for key, given in attributes.items():
        if given.get("requirement") == "required" and key not in value:
            found.append(f"{where}: {key} is required")
    for kind, keys in constraints.items():
        there = [key for key in keys if key in value]
        if (kind == "at_least_one" and not there) or (kind == "just_one" and len(there) != 1):
            found.append(f"{where}: {kind} of {keys}")
    for key, inner in value.items():
        if key not in attributes:
            found.append(f"{where}: {key} is not known")
            continue
        found += _attribute(key, inner, attributes[key], profiles, f"{where}.{key}")
    return found


def _attribute(key, value, given, profiles, where):
    spec = merged(dictionary()["attributes"][key], given)
    if spec.get("is_array"):
        if not isinstance(value, list):
            return [f"{where} is not an array"]
        single = {**spec, "is_array": False}
        return [
            fault
            for place, one in enumerate(value)
            for fault in _typed(key, one, single, profiles, f"{where}[{place}]")
        ]
    return _typed(key, value, spec, profiles, where)


def _typed(key, value, spec, profiles, where):
    kind = spec["type"]
    types = dictionary()["types"]["attributes"]
    if kind not in types and kind != "object":
        if not isinstance(value, dict):
            return [f"{where} is not an object"]
        return _object(value, "objects", kind, profiles, where)
    details = types.get(kind, {})
    root = kind
    while root not in PRIMITIVES:
        root = types[root]["type"]
    found = []
    wanted = PRIMITIVES[root]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        found.append(f"{where} is not a {kind}")
    # The compiler of the schema makes these enumerations; `faults` holds them together itself.
    made = key in ("class_uid", "category_uid", "type_uid")
    if not made and "enum" in spec and str(value) not in spec["enum"]:
        found.append(f"{where}: {value} is not of the enumeration")
    if "regex" in details and isinstance(value, str) and not re.search(details["regex"], value):
        found.append(f"{where}: {value!r} has not the form of a {kind}")
    return found
