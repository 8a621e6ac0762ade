"""CSAF 2.0 checked: its schema, its profiles, and the tests of section 6.1 that apply."""

import json
from functools import cache

import jsonschema
import referencing
from cvss import CVSS3

from tests.arch.house import REFERENCE

SCHEMA = REFERENCE / "schemas" / "csaf" / "csaf_json_schema.json"
_WORDS = ("known_affected", "known_not_affected", "fixed", "under_investigation")


@cache
def validator():
    def lax(uri):  # the schemas of CVSS are not here; scores are checked with the library below
        return referencing.Resource.from_contents(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": uri,
             "properties": {"version": {"const": uri[-8:-5]}}}
        )  # fmt: skip

    registry = referencing.Registry(retrieve=lax)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema, registry=registry)


def faults(data):
    body = json.loads(data)
    found = [f"{list(one.path)}: {one.message[:200]}" for one in validator().iter_errors(body)]
    if found:
        return found
    products = [one["product_id"] for one in body["product_tree"]["full_product_names"]]
    if len(set(products)) != len(products):
        found.append("6.1.2 a product is defined twice")
    track = body["document"]["tracking"]
    numbers = [one["number"] for one in track["revision_history"]]
    dates = [one["date"] for one in track["revision_history"]]
    if numbers != [str(n) for n in range(1, len(numbers) + 1)] or dates != sorted(dates):
        found.append("6.1.14, 6.1.21 the revision history is not in order")
    if track["version"] != numbers[-1] or track["current_release_date"] != dates[-1]:
        found.append("6.1.16 the version is not the latest")
    for one in body["vulnerabilities"]:
        found += _weakness(one, products, body["document"]["category"])
    return found


def _weakness(one, products, category):
    found = []
    status = one["product_status"]
    named = [ident for word in _WORDS for ident in status.get(word, ())]
    if len(set(named)) != len(named):
        found.append("6.1.6 a product has two statuses")
    used = set(named)
    for part in ("flags", "threats", "remediations"):
        for each in one.get(part, ()):
            used |= set(each.get("product_ids", ()))
    for score in one.get("scores", ()):
        used |= set(score["products"])
        found += _score(score["cvss_v3"])
    if not used <= set(products):
        found.append("6.1.1 a product is not defined")
    if not named or not one.get("notes"):
        found.append(f"{category} needs notes and a status")
    if category == "csaf_vex":
        excused = {it for each in one.get("flags", ()) for it in each["product_ids"]}
        excused |= {
            it
            for each in one.get("threats", ())
            if each["category"] == "impact"
            for it in each["product_ids"]
        }
        if not set(status.get("known_not_affected", ())) <= excused:
            found.append("6.1.27.9 a product is not affected and nobody says why")
        told = {it for each in one.get("remediations", ()) for it in each["product_ids"]}
        if not set(status.get("known_affected", ())) <= told:
            found.append("6.1.27.10 a product is affected and nobody says what to do")
        if "cve" not in one and not one.get("ids"):
            found.append("6.1.27.8 a weakness has no id")
    return found


def _score(given):
    base, temporal, environmental = (float(one) for one in CVSS3(given["vectorString"]).scores())
    severities = CVSS3(given["vectorString"]).severities()
    found = []
    for name, value, word in (
        ("base", base, severities[0]),
        ("temporal", temporal, severities[1]),
        ("environmental", environmental, severities[2]),
    ):
        if f"{name}Score" in given and (
            given[f"{name}Score"] != value or given[f"{name}Severity"] != word.upper()
        ):
            found.append(f"6.1.9 the {name} score is wrong")
    return found
