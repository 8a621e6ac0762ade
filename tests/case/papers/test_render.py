"""Markdown and HTML: hostile names stay text in both, blanks say how they are filled."""

import re

import markdown as library
import pytest

from casemate.case.papers import inside, outside, render
from casemate.case.papers.parts import Blank, Field, Paper, Section, Table
from tests.case.papers.made import EVIL, told

PAPERS = [
    write(told())
    for write in (
        inside.handover, inside.postmortem, outside.serious_incident, outside.data_breach,
        outside.advisory_note,
    )
]  # fmt: skip
ALL = pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.kind)


def paper(text):
    return Paper(
        "handover", text, "case-1", text, text,
        (
            Section(
                text, (text, Blank("who", text)), (Field(text, text), Field("b", Blank("x", text))),
                Table((text,), ((text,),)), (text,),
            ),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        EVIL, "1. one\n2. two", "- x", "a | b", "`code`", "<img src=x onerror=alert(1)>",
        "&lt;b&gt;", "![x](http://x)", "**b** _i_ ~~s~~", "# h", "    code", "\\", "http://x",
        "{{ 7 * 7 }}", "",
    ],
)  # fmt: skip
def test_hostile_text_makes_no_element(text):
    plain = render.markdown(paper("plain"))
    made = render.markdown(paper(text))
    tags = [
        re.findall(r"<(\w+)", library.markdown(one, extensions=["tables"])) for one in (plain, made)
    ]
    assert set(tags[1]) <= set(tags[0]) | {"br"}
    assert "<script" not in library.markdown(made)
    page = render.html(paper(text))
    assert page.count("<script") == 0
    assert page.count("<img") == 0
    assert "49" not in page or "7 * 7" in page


@ALL
def test_each_blank_has_the_command_that_fills_it(paper):
    assert paper.blanks
    text, page = render.markdown(paper), render.html(paper)
    for blank in paper.blanks:
        command = f"casemate case tell case-2026-0001 {blank.fact}=..."
        assert command in text
        assert command in page
    assert f"{len(paper.blanks)} to be answered" in text


@ALL
def test_the_page_fetches_nothing_and_says_so(paper):
    page = render.html(paper)
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="', page)
    assert page.count("<h1>") == 1


@ALL
def test_tables_are_tables(paper):
    page = library.markdown(render.markdown(paper), extensions=["tables"])
    wanted = sum(bool(one.table and one.table.rows) + bool(one.fields) for one in paper.sections)
    assert page.count("<table>") == wanted
