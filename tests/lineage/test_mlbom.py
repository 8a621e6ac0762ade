import json
from pathlib import Path

import pytest

from casemate.errors import FormatError, UsageError
from casemate.lineage.mlbom import DEPENDS, read

SCHEMAS = Path(__file__).parents[3] / "shared" / "reference" / "schemas" / "cyclonedx"
BOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    "version": 1,
    "components": [
        {
            "type": "machine-learning-model",
            "bom-ref": "m1",
            "group": "team",
            "name": "fraud",
            "version": "2",
            "hashes": [{"alg": "SHA-256", "content": "ab" * 32}],
            "pedigree": {
                "ancestors": [
                    {"type": "machine-learning-model", "name": "bert", "purl": "pkg:huggingface/b"}
                ]
            },
            "modelCard": {
                "modelParameters": {
                    "datasets": [
                        {"ref": "d1"},
                        {"type": "dataset", "name": "inline rows"},
                    ]
                }
            },
        },
        {"type": "data", "bom-ref": "d1", "name": "claims", "version": "3"},
        {"type": "machine-learning-model", "bom-ref": "m2", "name": "caller"},
        {"type": "library", "bom-ref": "l1", "name": "numpy"},
    ],
    "dependencies": [{"ref": "m2", "dependsOn": ["m1", "l1"]}],
}


def write(tmp_path, bom):
    (tmp_path / "bom.json").write_text(json.dumps(bom))
    return str(tmp_path / "bom.json")


def test_models_their_data_and_what_they_were_made_from(tmp_path):
    lineage = read(write(tmp_path, BOM))
    names = {node.id: node.name for node in lineage.nodes}
    told = {(names[e.source], e.relation, names[e.target], e.confidence) for e in lineage.edges}
    assert told == {
        ("bert", "derived-from", "team fraud 2", 1.0),
        ("claims 3", "read-by", "training of team fraud 2", 1.0),
        ("inline rows", "read-by", "training of team fraud 2", 1.0),
        ("training of team fraud 2", "made", "team fraud 2", 1.0),
        ("team fraud 2", "derived-from", "caller", DEPENDS),
    }
    nodes = {node.name: node for node in lineage.nodes}
    assert nodes["team fraud 2"].digest == "sha256:" + "ab" * 32
    assert nodes["bert"].id == "pkg:huggingface/b"
    assert "numpy" not in nodes


def test_the_example_is_one_that_cyclonedx_takes():
    if not SCHEMAS.is_dir():
        pytest.skip("the schemas of CycloneDX are not here")
    jsonschema = pytest.importorskip("jsonschema")
    from referencing import Registry, Resource

    names = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    pairs = [(name, Resource.from_contents(body)) for name, body in names.items()]
    pairs += [
        (body["$id"], Resource.from_contents(body)) for body in names.values() if "$id" in body
    ]
    schema = names["bom-1.6.schema.json"]
    jsonschema.Draft7Validator(schema, registry=Registry().with_resources(pairs)).validate(BOM)


def test_data_that_are_not_listed_are_told(tmp_path):
    bom = json.loads(json.dumps(BOM))
    bom["components"] = bom["components"][:1]
    assert any("'d1'" in note for note in read(write(tmp_path, bom)).notes)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100_000, '{"bomFormat": "SPDX"}', "<bom/>", "\x00"]
)
def test_what_is_no_bill_of_materials_is_refused(tmp_path, text):
    (tmp_path / "bom.json").write_text(text)
    with pytest.raises(FormatError):
        read(str(tmp_path / "bom.json"))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError):
        read(str(tmp_path / "no.json"))


def test_values_of_any_type_do_no_harm(tmp_path):
    odd = [None, 1, "x", [], {}, {"type": "data"}, {"type": "machine-learning-model", "name": [1]}]
    bom = {
        "bomFormat": "CycloneDX", "components": odd, "dependencies": odd,
        "metadata": {"component": {"type": "machine-learning-model", "hashes": odd,
                                   "modelCard": {"modelParameters": {"datasets": odd}},
                                   "pedigree": {"ancestors": odd}}},
    }  # fmt: skip
    assert read(write(tmp_path, bom)).nodes
