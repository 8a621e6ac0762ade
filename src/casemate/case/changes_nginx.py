"""Changes of an nginx configuration: refuse or slow down callers, switch to another upstream.

Source: nginx.org/en/docs, ngx_http_map_module, ngx_http_limit_req_module, ngx_http_access_module,
ngx_http_geo_module, ngx_http_proxy_module.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from casemate.case.changes import callers, missed, place, the_one
from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.case.changes import Callers, Wish

HOW = (
    "apply: patch {file} < change; check: nginx -t && nginx -s reload; "
    "undo: patch -R {file} < change"
)
PASSES = ("proxy_pass", "grpc_pass")
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|[{};]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:\$\{[^}]*\}|\\.|[^\s{};"'\\])+"""
    r"""|.""",
    re.DOTALL,
)
_SPECIAL = frozenset({"default", "hostnames", "include", "volatile"})
_BUCKET = 48
"""Bytes of a map's key beyond which nginx's default bucket may be too small."""


class Directive(NamedTuple):
    """A directive and, where it has one, its block."""

    words: tuple[str, ...]
    start: int
    end: int
    """Behind its semicolon, or its opening brace."""
    inside: tuple[Directive, ...] | None
    spans: tuple[tuple[int, int], ...]
    """Where each word stands."""

    @property
    def name(self) -> str:
        """Its first word."""
        return self.words[0] if self.words else ""


def recognises(text: str) -> bool:
    """Say whether this is an nginx configuration with something in it to change."""
    try:
        found = parse(text)
    except UsageError:
        return False
    return any(one.name in ("http", "server", "upstream", "location") for one in found)


def rewrite(text: str, wish: Wish) -> tuple[str, list[str]]:
    """Return the changed text and what the change does not do.

    Raises:
        UsageError: There is no place in the file for it.
    """
    top = parse(text)
    passing = _passing(top)
    if wish.action == "last-good":
        return _switch(text, passing, wish), []
    if not passing:
        raise UsageError(
            "no location of the file passes requests on",
            hint="name the file with the proxy_pass before the model",
        )
    found = callers(wish)
    http, context = _context(text, top)
    outside, inside = (_block if wish.action == "block" else _throttle)(found, wish, context)
    edits = [(http, http, _indented(outside, _column(text, http), text, http))]
    for location in passing:
        own = list(inside)
        if any(one.name == "limit_req_status" for one in location.inside or ()):
            own = [line for line in own if not line.startswith("limit_req_status")]
        edits.append((location.end, location.end, _below(own, text, location)))
    return _edited(text, edits), missed(found)


def parse(text: str) -> tuple[Directive, ...]:
    """Return the directives of a configuration.

    Raises:
        UsageError: Its braces do not match.
    """
    stack: list[list[Directive]] = [[]]
    heads: list[tuple[list[str], list[tuple[int, int]]]] = []
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word.isspace() or word.startswith("#"):
            continue
        if word == "{":
            heads.append((words, [*spans, match.span()]))
            stack.append([])
            words, spans = [], []
        elif word == "}":
            if not heads or words:
                raise UsageError("the braces of the nginx configuration do not match")
            inside = tuple(stack.pop())
            own, places = heads.pop()
            start = places[0][0]
            stack[-1].append(Directive(tuple(own), start, places[-1][1], inside, tuple(places)))
        elif word == ";":
            if words:
                stack[-1].append(
                    Directive(tuple(words), spans[0][0], match.end(), None, tuple(spans))
                )
            words, spans = [], []
        else:
            words.append(word)
            spans.append(match.span())
        if len(stack) > 60:
            raise UsageError("the nginx configuration is nested too deeply")
    if heads or words:
        raise UsageError("the nginx configuration breaks off")
    return tuple(stack[0])


def _passing(directives: Sequence[Directive]) -> list[Directive]:
    """Return the locations that pass requests on."""
    found = []
    for one in directives:
        if one.inside is None:
            continue
        if one.name == "location" and any(each.name in PASSES for each in one.inside):
            found.append(one)
        found += _passing(one.inside)
    return found


def _context(text: str, top: Sequence[Directive]) -> tuple[int, tuple[Directive, ...]]:
    """Return where in the http context to write, and what stands there already."""
    for one in top:
        if one.name == "http" and one.inside is not None:
            first = next((each.start for each in one.inside if each.name == "server"), None)
            if first is not None:
                return _line(text, first), one.inside
            return one.end, one.inside
    return _line(text, top[0].start), tuple(top)


def _block(found: Callers, wish: Wish, context: Sequence[Directive]) -> tuple[list[str], list[str]]:
    outside, inside = [f"# casemate {wish.case}: block"], [f"# casemate {wish.case}: block"]
    if found.values:
        outside += _bucket(found, context)
        outside += _map(wish, "casemate_blocked", "0", [(one, "1") for one in found.values])
        inside.append("if ($casemate_blocked) { return 403; }")
    inside += [f"deny {_address(one)};" for one in found.addresses]
    return (outside if found.values else []), inside


def _throttle(
    found: Callers, wish: Wish, context: Sequence[Directive]
) -> tuple[list[str], list[str]]:
    rate = max(1, round(wish.per_minute))
    outside, inside = [f"# casemate {wish.case}: throttle"], [f"# casemate {wish.case}: throttle"]
    if found.values:
        own = f"$http_{_variable(wish.header)}"
        outside += _bucket(found, context)
        outside += _map(wish, "casemate_slow", '""', [(one, own) for one in found.values])
        outside.append(f"limit_req_zone $casemate_slow zone=casemate_slow:1m rate={rate}r/m;")
        inside.append("limit_req zone=casemate_slow burst=1 nodelay;")
    if found.addresses:
        lines = [f"    {_address(one)} 1;" for one in found.addresses]
        outside += ["geo $casemate_near {", "    default 0;", *lines, "}"]
        outside += ["map $casemate_near $casemate_slow_ip {", '    default "";']
        outside += ["    1 $binary_remote_addr;", "}"]
        outside.append(f"limit_req_zone $casemate_slow_ip zone=casemate_slow_ip:1m rate={rate}r/m;")
        inside.append("limit_req zone=casemate_slow_ip burst=1 nodelay;")
    inside.append("limit_req_status 429;")
    return outside, inside


def _map(wish: Wish, name: str, default: str, pairs: list[tuple[str, str]]) -> list[str]:
    lines = [f"    {_quoted(source)} {value};" for source, value in pairs]
    return [
        f"map $http_{_variable(wish.header)} ${name} {{",
        f"    default {default};",
        *lines,
        "}",
    ]


def _bucket(found: Callers, context: Sequence[Directive]) -> list[str]:
    long = max(len(one.encode()) for one in found.values) > _BUCKET
    there = any(one.name == "map_hash_bucket_size" for one in context)
    return ["map_hash_bucket_size 512;"] if long and not there else []


def _switch(text: str, passing: Sequence[Directive], wish: Wish) -> str:
    host, port, secure = place(wish.upstream)
    shown = f"[{host}]" if ":" in host else host
    passes = [each for one in passing for each in one.inside or () if each.name in PASSES]
    split = [re.fullmatch(r"(\w+://)?([^/]*)(/.*)?", one.words[1].strip("\"'")) for one in passes]
    known = [match[2] for match in split if match is not None]
    old = the_one(known, wish, "upstream")
    edits = []
    for one, match in zip(passes, split, strict=True):
        if match is not None and match[2] == old:
            scheme = "grpc" if one.name == "grpc_pass" else "http"
            new = f"{scheme}{'s' if secure else ''}://{shown}:{port}{match[3] or ''}"
            edits.append((*one.spans[1], new))
            lead = _column(text, one.start)
            mark = f"# casemate {wish.case}: last-good, was {one.words[1]}\n{' ' * lead}"
            edits.append((one.start, one.start, mark))
    return _edited(text, edits)


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _line(text: str, offset: int) -> int:
    """Return where to write before what stands at an offset: its line, if it begins one."""
    begin = text.rfind("\n", 0, offset) + 1
    return begin if not text[begin:offset].strip() else offset


def _column(text: str, offset: int) -> int:
    begin = text.rfind("\n", 0, offset) + 1
    line = text[begin:].split("\n", 1)[0]
    return len(line) - len(line.lstrip())


def _indented(lines: list[str], column: int, text: str, offset: int) -> str:
    if not lines:
        return ""
    body = "".join(f"{' ' * column}{line}\n" for line in lines)
    return body if offset == 0 or text[offset - 1] == "\n" else f"\n{body}"


def _below(lines: list[str], text: str, location: Directive) -> str:
    column = _column(text, location.start) + 2
    if location.inside and "\n" in text[location.end : location.inside[0].start]:
        column = _column(text, location.inside[0].start)
    body = "".join(f"\n{' ' * column}{line}" for line in lines)
    rest = text[location.end :].split("\n", 1)[0]
    return body if not rest.strip() else f"{body}\n{' ' * column}"


def _variable(header: str | None) -> str:
    name = (header or "").lower().replace("-", "_")
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise UsageError(f"the header '{header}' is none that nginx has a variable for")
    return name


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    if value in _SPECIAL or value.startswith("~"):
        escaped = f"\\{escaped}"
    return f'"{escaped}"'


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise UsageError(f"'{text}' is no address", hint="--principal ip:203.0.113.7") from error
