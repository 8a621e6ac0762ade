"""The JSON report holds everything the issue of a reader could turn on, by a published schema."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from casemate.export.document import Report
from casemate.export.report import Bundle, write
from casemate.records.make import make
from casemate.records.trial import Outcome
from tests.export import bundles

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "schemas" / "report-1.schema.json"


def report_of(bundle):
    return json.loads(write(bundle, "json"))


@pytest.mark.parametrize("name", ["image", "tabular", "hostile"])
def test_it_fits_the_published_schema_and_reads_back(name):
    data = write(getattr(bundles, f"{name}_bundle")(), "json")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(data), schema)
    assert msgspec.json.decode(data, type=Report).casemate


def test_the_published_schema_is_what_the_code_says():
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    made = msgspec.json.schema(Report)
    shared = {key: published.get(key) for key in made}
    assert shared == json.loads(json.dumps(made)), "python docs/generate.py writes it anew"


def test_an_attack_carries_figures_cost_and_every_input():
    bundle = bundles.image_bundle()
    first, last = report_of(bundle)["attacks"][0], report_of(bundle)["attacks"][-1]
    trial = bundle.trials[0]
    assert first["attack"] == "evasion-pgd"
    assert {"value", "low", "high", "n"} <= set(first["clean"])
    assert first["robust"]["value"] == trial.robust.value
    assert first["per_input"] == {"forward": 41.0, "backward": 40.0, "queries": 0.0}
    assert first["cost"]["cpu_s"] == 6.1
    assert first["cost"]["wall_s"] == 3.2
    assert len(first["outcomes"]) == trial.inputs
    assert {"index", "success", "distance", "queries"} <= set(first["outcomes"][0])
    assert first["successes"] == sum(bool(one.success) for one in trial.outcomes)
    assert last["family"] == "poisoning"
    assert len(last["series"][0]["points"]) == 5


def test_a_file_carries_its_verdict_and_findings():
    files = {one["path"]: one for one in report_of(bundles.image_bundle())["files"]}
    assert [files[path]["verdict"] for path in sorted(files)] == ["clean", "incomplete", "findings"]
    ranker = files["models/ranker.pkl"]
    assert [one["rule"] for one in ranker["findings"]] == [
        "pickle-runs-shell",
        "pickle-unknown-import",
    ]
    assert ranker["measures"]["bytes_data"] == 46_000
    assert files["models/old.pt"]["complete"] is False


def test_the_exit_code_carries_both_facts():
    report = report_of(bundles.image_bundle())
    assert report["exit"] == {"code": 1, "findings": True, "incomplete": True}
    clean = report_of(Bundle(run=bundles.run_record()))
    assert clean["exit"] == {"code": 0, "findings": False, "incomplete": False}
    stopped = report_of(Bundle(run=bundles.run_record(state="interrupted")))
    assert stopped["exit"] == {"code": 3, "findings": False, "incomplete": True}


def test_an_unknown_outcome_is_incomplete_and_never_a_pass():
    trial = bundles.trial("evasion-pgd", n=3)
    unknown = make(Outcome, index=9, label=0, clean=True, success=None)
    trial = msgspec.structs.replace(trial, outcomes=(*trial.outcomes, unknown))
    report = report_of(Bundle(run=bundles.run_record(), trials=(trial,)))
    assert report["exit"]["code"] == 3
    assert "evasion-pgd" in report["not_checked"][0]["what"]


def test_equal_bundles_give_equal_bytes():
    assert write(bundles.image_bundle(), "json") == write(bundles.image_bundle(), "json")


def test_its_form_is_the_approved_one(approved):
    report = report_of(bundles.image_bundle())
    for attack in report["attacks"]:
        attack["outcomes"] = attack["outcomes"][:2]
        attack["mitigations"] = []  # the catalog's own, which grows
    approved("image.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
