"""What is here is read from what installers, people and tools write; nothing is imported."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from casemate.errors import FormatError, UsageError
from casemate.vuln import inventory
from casemate.vuln.advisories import normalised


def installed(folder, name, version, kind="dist-info", **more):
    place = folder / f"{name}-{version}.{kind}"
    place.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9.9 in the text\n"
    (place / ("METADATA" if kind == "dist-info" else "PKG-INFO")).write_text(head)
    for file, text in more.items():
        (place / f"{file}.json").write_text(text)
    return place


def by_name(found):
    return {one.name: one for one in found.things}


def test_the_environment_that_runs_this_is_read_as_python_reads_it():
    found = by_name(inventory.environment())
    theirs = {normalised(one.name): one.version for one in metadata.distributions()}
    assert {name: one.version for name, one in found.items()} == theirs


def test_an_environment_is_read_from_its_folder_without_running_it(tmp_path):
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    installed(site, "Scikit_Learn", "1.5.0")
    installed(site, "joblib", "1.1.0", kind="egg-info")
    (site / "evil.pth").write_text("import os; os.abort()")
    found = inventory.environment(tmp_path / "venv")
    assert {(one.name, one.version) for one in found.things} == {
        ("scikit-learn", "1.5.0"),
        ("joblib", "1.1.0"),
    }
    assert found.complete
    assert by_name(inventory.environment(site))["joblib"].purl == "pkg:pypi/joblib@1.1.0"


def test_what_was_built_here_does_not_have_the_content_of_its_version(tmp_path):
    site = tmp_path / "Lib" / "site-packages"
    installed(site, "torch", "2.7.0", direct_url='{"url": "file:///src", "dir_info": {}}')
    installed(site, "onnx", "1.17.0", direct_url='{"url": "https://x/o.whl", "archive_info": {}}')
    installed(site, "keras", "3.9.0", direct_url="not json")
    found = by_name(inventory.environment(tmp_path))
    assert found["torch"].own_build
    assert not found["onnx"].own_build
    assert found["keras"].own_build


def test_metadata_that_cannot_be_read_leaves_the_list_open(tmp_path):
    installed(tmp_path, "torch", "2.7.0")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    found = inventory.environment(tmp_path)
    assert len(found.things) == 1
    assert not found.complete


def test_a_folder_that_is_no_environment_is_refused(tmp_path):
    with pytest.raises(UsageError, match="environment"):
        inventory.environment(tmp_path)


REQUIREMENTS = """\
# a comment
torch==2.5.1            # pinned
Keras[extra] === 3.8.0 ; python_version > "3.10"
onnx>=1.16
scikit_learn==1.*
joblib @ https://example.com/joblib-1.1.0.tar.gz
--index-url https://example.com/simple
-r more/other.txt
numpy==1.26.0 \\
    --hash=sha256:00
"""


def test_requirements_say_what_is_pinned_and_what_is_not(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.txt").write_text("-r ../requirements.txt\nray==2.8.0\n")
    path = tmp_path / "requirements.txt"
    path.write_text(REQUIREMENTS)
    found = inventory.requirements(path)
    assert {one.name: one.version for one in found.things} == {
        "torch": "2.5.1",
        "keras": "3.8.0",
        "onnx": None,
        "scikit-learn": None,
        "joblib": None,
        "ray": "2.8.0",
        "numpy": "1.26.0",
    }
    assert not found.complete


def test_requirements_with_a_hash_each_are_all_there_is(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("a==1 --hash=sha256:00\nb==2 \\\n  --hash=sha256:11\n")
    assert inventory.requirements(path).complete
    path.write_text("")
    assert not inventory.requirements(path).complete
    with pytest.raises(UsageError):
        inventory.requirements(tmp_path / "none.txt")


def test_a_cyclonedx_file_gives_packages_and_models(tmp_path):
    body = {
        "bomFormat": "CycloneDX",
        "components": [
            {"type": "library", "purl": "pkg:pypi/Torch@2.5.1%2Bcpu?x=1", "name": "torch",
             "components": [{"type": "library", "purl": "pkg:pypi/onnx@1.12.0"}]},
            {"type": "library", "purl": "pkg:npm/left-pad@1.0.0", "name": "left-pad"},
            {"type": "machine-learning-model", "name": "fraud", "version": "3",
             "hashes": [{"alg": "SHA-256", "content": "AB" * 32}]},
            "not a component",
            {"type": "library", "purl": 7},
        ],
    }  # fmt: skip
    path = tmp_path / "bom.json"
    path.write_text(json.dumps(body))
    found = inventory.sbom(path)
    assert {(one.kind, one.name, one.version) for one in found.things} == {
        ("package", "torch", "2.5.1+cpu"),
        ("package", "onnx", "1.12.0"),
        ("model", "fraud", "3"),
    }
    assert by_name(found)["fraud"].digest == "sha256:" + "ab" * 32
    assert not found.complete
    path.write_text(json.dumps({**body, "compositions": [{"aggregate": "complete"}]}))
    assert inventory.sbom(path).complete


def test_an_spdx_file_gives_packages(tmp_path):
    refs = [{"referenceType": "purl", "referenceLocator": "pkg:pypi/keras@3.8.0"}]
    path = tmp_path / "bom.spdx.json"
    path.write_text(json.dumps({"spdxVersion": "SPDX-2.3", "packages": [{"externalRefs": refs}]}))
    assert [one.name for one in inventory.sbom(path).things] == ["keras"]


@pytest.mark.parametrize("body", ["", "[]", "{}", "<bom/>", "[" * 100_000, '{"a": "\\ud800"}'])
def test_what_is_no_bill_of_materials_is_said_to_be_none(tmp_path, body):
    path = tmp_path / "bom.json"
    path.write_text(body)
    with pytest.raises(FormatError):
        inventory.sbom(path)


def test_reading_packages_loads_no_framework():
    code = (
        "import sys; from casemate.vuln import inventory; inventory.environment();"
        "print({'torch', 'numpy', 'importlib.metadata'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
