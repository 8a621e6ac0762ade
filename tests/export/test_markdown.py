"""A summary that fits a comment, and that no file name can break out of."""

import msgspec
import pytest
from markdown_it import MarkdownIt

from casemate.export.markdown import LIMIT, code, safe
from casemate.export.report import Bundle, write
from tests.export import bundles


def tokens(text):
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    for token in parsed:
        yield token
        yield from token.children or ()


def test_a_hostile_name_formats_and_runs_nothing():
    text = write(bundles.hostile_bundle(), "md").decode()
    for token in tokens(text):
        assert token.type not in ("link_open", "image", "heading_open") or token.tag in ("h2", "h3")
        if token.type in ("html_inline", "html_block"):
            assert token.content in ("<br>", "<sub>", "</sub>")
    assert "@team" not in text.replace("`", "").split("| what |")[1].split("Runs")[1][:400]
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "text", ["a`b", "``", "`", "a|b", "x ``` y", "", " ", "<b>", "a\nb", "\\", "a\\|b"]
)
def test_a_code_span_stays_one(text):
    found = [one for one in tokens(f"x {code(text)} y") if one.type == "code_inline"]
    assert len(found) == 1 or not text.strip()


@pytest.mark.parametrize(
    "text",
    ["*a*", "_a_", "# a", "- a", "1. a", "[a](b)", "![a](b)", "<b>", "`a`", "~~a~~", "&lt;", "> a"],
)
def test_safe_text_reads_as_it_was_written(text):
    found = list(tokens(f"- {safe(text)}"))
    kinds = {one.type for one in found}
    assert kinds <= {
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
        "inline",
        "text",
        "text_special",
        "paragraph_close",
        "list_item_close",
        "bullet_list_close",
    }
    shown = "".join(one.content for one in found if one.type in ("text", "text_special"))
    assert shown.replace("\u2060", "") == text


def test_it_fits_a_comment_whatever_the_run_found():
    verdicts, findings = bundles.scan_part()
    many = [
        msgspec.structs.replace(findings[0], fingerprint=f"fp-{i:032x}", message="m" * 900)
        for i in range(3000)
    ]
    files = [
        msgspec.structs.replace(
            verdicts[0], target=msgspec.structs.replace(verdicts[0].target, uri=f"{'d' * 200}/{i}")
        )
        for i in range(3000)
    ]
    notes = tuple("n" * 900 + str(i) for i in range(3000))
    bundle = Bundle(
        run=bundles.run_record(notes=notes), findings=tuple(many), verdicts=tuple(files)
    )
    text = write(bundle, "md").decode()
    assert len(text) <= LIMIT
    assert "more finding" in text


def test_its_form_is_the_approved_one(approved, monkeypatch):
    # The catalog's words change on their own.
    monkeypatch.setattr("casemate.export.advice.mitigations", lambda ident: [])
    approved("image.md", write(bundles.image_bundle(), "md").decode())
