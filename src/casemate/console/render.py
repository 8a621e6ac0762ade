"""Pages out of templates: everything is escaped, and what browsers cannot show is made visible."""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import jinja2

from casemate.export import page, wording

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class File(NamedTuple):
    """A file that is served as it is."""

    body: bytes
    media_type: str
    mark: str
    """Changes with the content."""


@functools.cache
def files() -> Mapping[str, File]:
    """Return what lies under /static, by name."""
    templates = HERE / "templates"
    style = (Path(page.__file__).parent / "templates" / "report.css").read_bytes()
    found = {
        "console.css": style + (templates / "console.css").read_bytes(),
        "console.js": (templates / "console.js").read_bytes(),
        "htmx.js": (HERE / "vendor" / "htmx-2.0.10.min.js").read_bytes(),
    }
    return {
        name: File(body, _KINDS[Path(name).suffix], hashlib.sha256(body).hexdigest()[:16])
        for name, body in found.items()
    }


@functools.cache
def pages() -> Pages:
    """Return what writes pages; it holds nothing of a console."""
    return Pages(files())


class Pages:
    """Writes pages."""

    def __init__(self, static: Mapping[str, File]) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        from casemate.console.drawing import plot

        self._templates.globals.update(
            plot=plot,
            static={name: f"/static/{name}?v={one.mark}" for name, one in static.items()},
            words=wording,
        )
        self._templates.filters.update(
            when=when, clock=clock, iso=iso, length=len, share=wording.percent,
            number=wording.number, shorten=wording.shorten, question=question,
            urlencode=address,
        )  # fmt: skip

    def write(self, name: str, values: Mapping[str, Any]) -> bytes:
        """Return a page as bytes; what UTF-8 cannot carry is escaped."""
        text = self._templates.get_template(name).render(**values)
        return text.encode("utf-8", "backslashreplace")


def _finalize(value: object) -> object:
    return wording.clean(value) if type(value) is str else value


def _moment(at: int | datetime) -> datetime:
    if isinstance(at, datetime):
        return at.astimezone(UTC)
    try:
        return datetime.fromtimestamp(at / 1e6, UTC)
    except (OverflowError, OSError, ValueError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def when(at: int | datetime) -> str:
    """Return a time as `2026-11-21 03:12:05 UTC`."""
    return _moment(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: int | datetime) -> str:
    """Return a time of day as `03:12`."""
    return _moment(at).strftime("%H:%M")


def iso(at: int | datetime) -> str:
    """Return a time as browsers read it."""
    return _moment(at).isoformat(timespec="seconds")


def question(fact: str) -> str:
    """Return the name of a fact as words: `high_risk_ai_system` becomes `High risk AI system`."""
    words = [{"ai": "AI", "nis2": "NIS2", "eu": "EU"}.get(one, one) for one in fact.split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def address(text: str) -> str:
    """Return text as a part of an address; what UTF-8 cannot carry is replaced."""
    return quote(text, safe="", errors="replace")
