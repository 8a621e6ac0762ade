"""Reference pages made from the code: command line, configuration, catalog, records, schemas.

mkdocs calls `on_files` at each build, so a page cannot be out of date. The JSON schemas are files
of their own, committed because other programs rely on them:

    python docs/generate.py            # write docs/reference/schemas
    python docs/generate.py --check    # fail when they are not what the code says
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from casemate.case.playbook import load as load_plan
from casemate.catalog.entries import KINDS, Attack, Entry, Playbook
from casemate.catalog.loader import entries
from casemate.cli.program import build
from casemate.export.document import Report
from casemate.gate.baseline import Baseline, Kept, Known
from casemate.records.codec import RECORDS
from casemate.workflows.config import Config

HERE = Path(__file__).parent
SCHEMAS = HERE / "reference" / "schemas"
PUBLISHED = (*RECORDS, Baseline, Report)
PLACES = {
    "arxiv": "https://arxiv.org/abs/{}",
    "atlas:AML.T": "https://atlas.mitre.org/techniques/{}",
    "atlas:AML.M": "https://atlas.mitre.org/mitigations/{}",
    "atlas:AML.C": "https://atlas.mitre.org/studies/{}",
    "cwe": "https://cwe.mitre.org/data/definitions/{}.html",
    "ghsa": "https://github.com/advisories/{}",
    "cve": "https://www.cve.org/CVERecord?id={}",
    "url": "{}",
}
HIDDEN = {"id", "kind", "title", "why", "misses", "refs", "entry", "params", "fixture"}
"""Fields of an entry that its section says elsewhere, or not at all."""
INTRO = {
    "attacks": "Ways to attack a model that casemate carries out.",
    "detections": "What can be seen in the events, live or in a hunt over the past.",
    "logs": "Forms of past traffic that `casemate import` reads.",
    "bars": "Bug bars: which weaknesses stop a release.",
    "exports": "Formats a run can be written in.",
    "formats": "File formats the scanner knows, recognised by content and not by name.",
    "mitigations": "What to do about a weakness.",
    "rules": "What a scan can find in a file.",
    "advisories": "Published weaknesses of machine-learning software: `casemate vuln affected`.",
    "controls": "What organisations do about attacks, by the names of the frameworks that ask it.",
    "deadlines": "Clocks of the law that an incident may start.",
    "playbooks": "What to do about each type of incident, step by step; CACAO 2.0 lies beside.",
    "targets": "Kinds of model that can be attacked, and how to name one.",
    "threats": "The rows of the published bug bar for machine learning.",
}

TOML_INTRO = """\
`casemate init` writes one. Paths in it are relative to the file. A key that is not listed here is
an error (exit code 2), and the message names the nearest key that is."""
WAIVER = """\
One finding, import or file that is accepted until a day. No waiver holds without a reason and a
last day.

| key | type | meaning |
| --- | --- | --- |
| `fingerprint` | str | `fp-...` of one finding, `import:NAME` of an unknown import, `sha256:...` |
| `reason` | str | why, for whoever reads it next year |
| `expires` | date | the last day it holds: `2027-03-31` |"""
RECORDS_INTRO = """\
What passes between the parts of casemate, is kept in the workspace and stands in the JSON report.
Each carries its name and version under `schema`; a change of shape is a new version beside the old
one. The [JSON schemas](schemas.md) say the same to a machine."""


def pages() -> dict[str, str]:
    """Return every generated page by its path in docs/."""
    made = {
        "reference/cli.md": cli(),
        "reference/configuration.md": configuration(),
        "reference/records.md": records(),
        "reference/schemas.md": schema_list(),
    }
    made |= {f"reference/catalog/{kind}.md": catalog(kind) for kind in KINDS}
    return made


def cli() -> str:
    """Every verb with the help it prints."""
    os.environ["COLUMNS"] = "88"
    parser = build()
    # argparse offers no public way to list its subparsers.
    subparsers = argparse._SubParsersAction  # noqa: SLF001
    (verbs,) = (a for a in parser._actions if isinstance(a, subparsers))  # noqa: SLF001
    parts = ["# Command line", "What each verb prints with `--help`.", _code(parser.format_help())]
    for name, verb in verbs.choices.items():
        parts += [f"## casemate {name} {{ #{name} }}", _code(verb.format_help())]
    return _page(parts)


def configuration() -> str:
    """Every table and key of casemate.toml."""
    parts = [
        "# casemate.toml",
        TOML_INTRO,
        "```toml\nversion = 1\n```",
    ]
    hints = inspect.get_annotations(Config)
    for field in msgspec.structs.fields(Config):
        shape = _struct_in(field.type)
        if field.name == "version":
            continue
        many = "tuple" in str(hints[field.name])
        title = f"[[{field.name}]]" if many else f"[{field.name}]"
        parts.append(f"## {title} {{ #{field.name} }}")
        if shape is None:
            parts += [
                WAIVER,
            ]
        else:
            parts += [_first_paragraph(shape), _table(shape)]
    return _page(parts)


def catalog(kind: str) -> str:
    """Every entry of one kind."""
    found = entries(kind, KINDS[kind])
    parts = [
        f"# Catalog: {kind}",
        f"{INTRO[kind]} `casemate explain ID` prints the same.",
    ]
    if kind == "controls":
        parts.append(_matrix(list(found.values())))
    elif found:
        rows = [f"| [`{e.id}`](#{e.id}) | {e.title} | {e.status} |" for e in found.values()]
        parts.append("| id | title | status |\n| --- | --- | --- |\n" + "\n".join(rows))
    else:
        parts.append("There is no entry of this kind yet.")
    parts += [part for each in found.values() for part in _entry(each)]
    return _page(parts)


def records() -> str:
    """Every record with its fields."""
    parts = [
        "# Records",
        RECORDS_INTRO,
    ]
    for record in (*RECORDS, Baseline, Known, Kept):
        tag = record.__struct_config__.tag
        parts.append(f"## {record.__name__} {{ #{record.__name__.lower()} }}")
        parts += [_first_paragraph(record)]
        parts += [f"`schema`: `{tag}`"] if tag else []
        parts.append(_table(record))
    return _page(parts)


def schema_list() -> str:
    """The published schemas."""
    names = sorted(_schema_files())
    rows = "\n".join(f"* [{name}](schemas/{name})" for name in names)
    return _page(
        [
            "# JSON schemas",
            "Stable within 0.x: a field is added only with a new version of the record's tag.",
            rows,
        ]
    )


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the build (a hook of mkdocs)."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def main(argv: list[str]) -> int:
    """Write the schemas, or say which are not current."""
    stale = []
    for name, text in _schema_files().items():
        path = SCHEMAS / name
        if "--check" in argv:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            SCHEMAS.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"stale: docs/reference/schemas/{name}; run python docs/generate.py", file=sys.stderr)
    return 1 if stale else 0


def _schema_files() -> dict[str, str]:
    made = {}
    for record in PUBLISHED:
        tag = str(record.__struct_config__.tag)
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": tag,
            **msgspec.json.schema(record),
        }
        name = tag.replace("/", "-") + ".schema.json"
        made[name] = json.dumps(schema, indent=1, sort_keys=True) + "\n"
    return made


def _entry(entry: Entry) -> list[str]:
    parts = [f"## {entry.title} {{ #{entry.id} }}", f"`{entry.id}`", _prose(entry.why)]
    facts = [
        (name.replace("_", " "), getattr(entry, name))
        for name in entry.__struct_fields__
        if name not in HIDDEN
    ]
    rows = [f"| {name} | {_fact(name, value)} |" for name, value in facts if _told(value)]
    parts.append("| | |\n| --- | --- |\n" + "\n".join(rows))
    if isinstance(entry, Attack) and entry.params:
        rows = [
            f"| `{name}` | {p.type} | {'' if p.default is None else f'`{p.default}`'} "
            f"| {_cell(p.help)}{_cell(_choices(p.choices))} |"
            for name, p in entry.params.items()
        ]
        table = "| parameter | type | default | |\n| --- | --- | --- | --- |\n" + "\n".join(rows)
        parts += [table, f"`casemate attack TARGET --data DATA --attack {entry.id}`"]
    if isinstance(entry, Playbook):
        parts += _steps(entry)
    parts += [f"**Misses.** {_prose(entry.misses)}"]
    if entry.refs:
        parts.append("References: " + ", ".join(_link(ref) for ref in entry.refs))
    return parts


def _steps(entry: Playbook) -> list[str]:
    rows = [
        f"| {number} | {step.phase} | {_cell(step.title)} "
        f"| {f'`{step.check}`' if step.check else 'a person answers'} |"
        for number, step in enumerate(load_plan(entry).steps, 1)
    ]
    table = "| | phase | step | checked by |\n| --- | --- | --- | --- |\n" + "\n".join(rows)
    return [table, f"`casemate explain {entry.id}` prints each step whole."]


def _matrix(found: list[Any]) -> str:
    rows = [
        f"| [{_cell(one.title)}](#{one.id}) | {', '.join(one.nist_ai_rmf)} "
        f"| {', '.join(one.eu_ai_act)} | {', '.join(one.iso_42001)} | {', '.join(one.soc2)} |"
        for one in found
    ]
    head = "| control | NIST AI RMF | EU AI Act | ISO 42001, Annex A | SOC 2 |"
    return f"{head}\n| --- | --- | --- | --- | --- |\n" + "\n".join(rows)


def _told(value: object) -> bool:
    return value is not None and value not in ((), "", {}, False)


def _fact(name: str, value: object) -> str:
    if name == "mitigations":
        return ", ".join(f"[{i}](mitigations.md#{i})" for i in value)  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return ", ".join(f"`{key}` {item}" for key, item in value.items())
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return _cell(str(value))


def _choices(choices: tuple[str, ...]) -> str:
    return f"; one of {', '.join(choices)}" if choices else ""


def _link(ref: str) -> str:
    kind, _, rest = ref.partition(":")
    text = rest.removeprefix("https://") if kind == "url" else ref
    place = next(where for start, where in PLACES.items() if ref.startswith(start))
    return f"[{text}]({place.format(rest)})"


def _table(struct: type[msgspec.Struct]) -> str:
    said = _field_docs(struct)
    rows = []
    for field in msgspec.structs.fields(struct):
        needed = " (needed)" if field.required else ""
        hint = inspect.get_annotations(struct).get(field.name, "")
        rows.append(
            f"| `{field.name}` | {_cell(str(hint))}{needed} | {_cell(said.get(field.name, ''))} |"
        )
    return "| field | type | meaning |\n| --- | --- | --- |\n" + "\n".join(rows)


def _field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Read the docstrings that stand under the fields."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for line, after in zip(body.body, body.body[1:], strict=False):
        is_doc = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and is_doc:
            docs[line.target.id] = inspect.cleandoc(str(after.value.value))
    return docs


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    for inner in (hint, *getattr(hint, "__args__", ())):
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return inner
    return None


def _first_paragraph(struct: type[msgspec.Struct]) -> str:
    return inspect.cleandoc(struct.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _prose(text: str) -> str:
    return inspect.cleandoc(text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def _page(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
