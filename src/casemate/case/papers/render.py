"""Papers as Markdown and as one HTML page that fetches nothing.

Names of principals, files and models come from attackers: Markdown's own signs are escaped in one,
everything is in the other.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.case.papers.parts import Blank

if TYPE_CHECKING:
    from casemate.case.papers.parts import Paper, Value

_TEMPLATES = Path(__file__).parent / "templates"
_SIGNS = re.compile(r"([\\`*_\[\]<>|#~!&])")
_LINE = re.compile(r"^(\s*)([-+=>]|\d+[.)])", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def markdown(paper: Paper) -> str:
    """Return the paper as Markdown."""
    return _render("paper.md", paper, autoescape=False)


def html(paper: Paper) -> str:
    """Return the paper as HTML."""
    style = (_TEMPLATES / "paper.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return _render("paper.html", paper, autoescape=True, style=style, style_digest=digest)


def escape(text: str) -> str:
    """Return text in one line in which Markdown sees no sign of its own."""
    plain = _SIGNS.sub(r"\\\1", clean(text)).replace("://", "\\://")
    return _LINE.sub(r"\1\\\2", plain)


def clean(text: str) -> str:
    """Return text in one line, without what is not seen."""
    return _CONTROL.sub(" ", text).strip()


def fill(case: str, blank: Blank) -> str:
    """Return the command that fills a blank."""
    return f"casemate case tell {case} {blank.fact}=..."


def _is_blank(value: Value) -> bool:
    return isinstance(value, Blank)


def _render(name: str, paper: Paper, *, autoescape: bool, **more: Any) -> str:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,  # noqa: S701 - Markdown has an escape of its own
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(md=escape, clean=clean)
    environment.tests["blank"] = _is_blank
    if "style" in more:
        more["style"] = Markup(more["style"])  # noqa: S704 - our own file
    template = environment.get_template(name)
    return template.render(paper=paper, fill=lambda one: fill(paper.case, one), **more)
