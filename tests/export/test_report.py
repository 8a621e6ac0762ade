"""The door to the formats: by catalog, strict, and light to import."""

import subprocess
import sys

import pytest

from casemate.catalog.entries import Export
from casemate.catalog.loader import entries
from casemate.errors import StoreError, UsageError
from casemate.export.report import Bundle, open_findings, write
from tests.export import bundles

FORMATS = sorted(entries("exports", Export))


def test_the_formats_are_those_of_the_catalog():
    assert set(FORMATS) >= {"html", "json", "junit", "md", "sarif"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("which", ["image", "tabular", "hostile"])
def test_every_format_writes_every_kind_of_run(name, which):
    data = write(getattr(bundles, f"{which}_bundle")(), name)
    assert data.decode("utf-8").strip()


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_that_is_not_unicode_breaks_no_format(name):
    bundle = bundles.image_bundle()
    text = "raw\udcff\ud800 name"
    run = bundles.run_record(notes=(text,))
    data = write(bundle._replace(run=run, commands={bundle.findings[0].fingerprint: text}), name)
    data.decode("utf-8")


def test_an_unknown_format_is_a_usage_error_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        write(Bundle(run=bundles.run_record()), "sariff")
    assert "sarif" in caught.value.hint


def test_open_findings_are_worst_first_without_the_waived():
    found = open_findings(bundles.image_bundle())
    assert [one.severity.value for one in found] == ["critical", "important", "moderate"]


def test_a_bundle_without_payloads_says_so():
    with pytest.raises(StoreError):
        Bundle(run=bundles.run_record()).blob("sha256:" + "0" * 64)


def test_only_the_page_needs_a_template_engine_and_nothing_needs_numpy_to_import():
    body = """
import sys
from casemate.export import document, junit, markdown, page, report, sarif
heavy = {"numpy", "jinja2", "PIL", "rich", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", body], check=True)
