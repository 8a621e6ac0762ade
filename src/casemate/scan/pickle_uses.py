"""What one use of a name in a pickle amounts to: nothing, or a rule, a severity and a sentence.

The allow-list decides. What is on it passes with whatever arguments, because each name on it was
vetted for that. What is not on it is reported by what it is known or seen to do; where nothing is
known, a call weighs more than an instance, and an instance no less than a mention: importing a
module runs it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from casemate.formats.pickle_calls import CYTHON, operand_of
from casemate.formats.pickle_reader import literal
from casemate.formats.pickle_values import Attribute, Global, Made, Partial, Unknown, Value
from casemate.records.severity import Confidence, Severity
from casemate.scan.allowlist import Standing, standing
from casemate.scan.effects import DOES, RULES, methods

if TYPE_CHECKING:
    from casemate.formats.pickle_trace import PickleTrace, Use

PASSED_ON = frozenset({"attribute", "method", "apply", "name", "loads"})
"""Functions of these kinds are only harmless where their operands can be seen."""
HEAVY = frozenset({"exec", "process", "native", "import", "unpickle"})
SUSPICIOUS = re.compile(
    r"://|[;|&`$<>\s]|\.\.?/|^/|\\|\(|\b(import|exec|eval|sh|cmd|bash|curl|wget)\b"
)
CONSTANT = "<constant>"
ACTS = frozenset({"call", "new"})


class Judgement(NamedTuple):
    """What is wrong with a use."""

    rule: str
    subject: str
    severity: Severity
    confidence: Confidence
    sentence: str


def judge_use(found: PickleTrace, use: Use) -> Judgement | None:
    """Return what is wrong with a use, None when nothing is."""
    target = use.target
    if use.kind == "patch":
        return _patched(target)
    if use.kind == "attribute":
        return _looked_up(target)
    if isinstance(target, Global):
        if use.kind == "import":
            return _imported(target)
        if use.kind == "call":
            return _called(found, target, use)
        if use.kind == "new":
            return _instantiated(target)
        return None
    if use.kind in ACTS:
        return _acted_on_result(found, target, use)
    return None


def kept(target: Global) -> Judgement | None:
    """Judge a name that was still held when the stream ended: only operand functions matter."""
    operand = operand_of(target)
    if operand is None or operand.how not in PASSED_ON or target.name.startswith(CYTHON):
        return None
    return Judgement(
        "pickle-imports-unknown",
        target.full,
        Severity.MODERATE,
        Confidence.FIRM,
        f"{target.full} is kept as a value; what it will be given cannot be told",
    )


def _class_like(name: str) -> bool:
    last = name.rpartition(".")[2].lstrip("_")
    return last[:1].isupper() and not (last.isupper() and len(last) > 4)


def grade(target: Global) -> Standing:
    """Return what is known about a name, its dotted and generated forms included."""
    known = standing(target.module, target.name)
    if known.grade in ("unlisted", "unknown") and target.name.startswith(CYTHON):
        return Standing("function")
    if known.grade in ("class", "state", "function", "reference"):
        return known
    if "." in target.name:
        of, _, attribute = target.name.rpartition(".")
        owner = standing(target.module, of)
        if owner.grade in ("class", "state") and _plain(attribute) and attribute != "__new__":
            return Standing("reference", stdlib=owner.stdlib)
    return known


def _plain(name: str) -> bool:
    """Say whether looking up an attribute of this name gives nothing that reaches outside."""
    outside, dunders = methods()
    if name.startswith("__"):
        return name in dunders
    return name not in outside and name.isidentifier()


def _imported(target: Global) -> Judgement | None:
    known = grade(target)
    if known.grade in ("class", "state", "function", "reference"):
        return None
    if known.grade == "refused" and known.effect in RULES:
        light = not known.exact and (_class_like(target.name) or not known.stdlib)
        # Where the call stands need not be in the stream: state can name `__setstate__`, a default
        # factory or a key function, and nothing harmless keeps such a function as a value.
        severity = Severity.CRITICAL if known.exact and known.stdlib else Severity.IMPORTANT
        if light or known.effect not in HEAVY:
            return _unknown(target, Severity.MODERATE, known)
        return _effect(target, known, severity, "is imported, which")
    return _unknown(target, Severity.MODERATE, known)


def _called(found: PickleTrace, target: Global, use: Use) -> Judgement | None:
    known = grade(target)
    if known.grade in ("class", "function"):
        return None
    if known.grade == "reference":
        operand = operand_of(target)
        if operand is not None or target.name.partition(".")[2] == "__new__":
            return None
        itself = standing(target.module, target.name).grade == "reference"
        return _call_unknown(target, Severity.MODERATE if itself else Severity.IMPORTANT)
    if known.grade == "refused" and known.effect in RULES:
        sure = known.exact or known.stdlib or known.effect in HEAVY
        if not _class_like(target.name) or known.exact:
            severity = Severity.CRITICAL if sure else Severity.IMPORTANT
            return _effect(target, known, severity, "is called, which")
        if known.stdlib or _suspicious(found, use):
            return _effect(target, known, Severity.CRITICAL, "is called, which")
        severity = Severity.IMPORTANT if sure else Severity.MODERATE
        return _effect(target, known, severity, "is called, which may be how it")
    if known.grade == "refused":
        return _call_unknown(target, Severity.IMPORTANT)
    if target.module == "__main__":
        return _call_unknown(target, Severity.MODERATE)
    if known.grade == "state" or _class_like(target.name):
        strong = known.stdlib or known.grade == "state" or _suspicious(found, use)
        return _call_unknown(target, Severity.IMPORTANT if strong else Severity.MODERATE)
    return _call_unknown(target, Severity.IMPORTANT)


def _instantiated(target: Global) -> Judgement | None:
    known = grade(target)
    if known.grade in ("class", "state", "function"):
        return None
    if known.grade == "refused" and known.effect in RULES and known.exact:
        return _effect(target, known, Severity.IMPORTANT, "is instantiated, which")
    return _unknown(target, Severity.MODERATE, known)


def _acted_on_result(found: PickleTrace, target: Value, use: Use) -> Judgement | None:
    text = spelled(target)
    named = _through(found, target)
    if named is not None:
        known = standing(*named)
        if known.grade in ("class", "function") or named[1].endswith(".__new__"):
            return None
        if known.effect in RULES:
            return Judgement(
                RULES[known.effect],
                ".".join(named),
                Severity.CRITICAL,
                Confidence.CERTAIN,
                f"{'.'.join(named)} is looked up and called, which {DOES[known.effect]}",
            )
        if _class_like(named[1]):
            nested = Global(*named)
            return _instantiated(nested) if use.kind == "new" else _called(found, nested, use)
    if isinstance(target, Unknown):
        return Judgement(
            "pickle-name-unresolved",
            text,
            Severity.CRITICAL,
            Confidence.FIRM,
            f"{text} is called: what runs is not written in the stream",
        )
    return Judgement(
        "pickle-calls-unknown",
        text,
        Severity.IMPORTANT,
        Confidence.FIRM,
        f"{text} is called: a function reached through an object, not by a vetted name",
    )


def _through(found: PickleTrace, target: Value) -> tuple[str, str] | None:
    """Return module and name where an attribute of a name, or of an imported module, is meant."""
    path: list[str] = []
    for _ in range(16):
        if isinstance(target, Attribute):
            path.insert(0, target.name)
            target = target.of
        elif isinstance(target, Made) and isinstance(target.by, Global) and path:
            if type(target.args) is not tuple or not target.args:
                return None
            importer = standing(target.by.module, target.by.name)
            text = literal(found.machine, target.args[0])
            if importer.effect == "import" and isinstance(text, str):
                return text, ".".join(path)
            return None
        elif isinstance(target, Global):
            whole = ".".join([target.name, *path])
            known = standing(target.module, whole)
            if known.effect is None and path:
                inside = standing(f"{target.module}.{target.name}", ".".join(path))
                if inside.effect is not None:
                    return f"{target.module}.{target.name}", ".".join(path)
            return target.module, whole
        else:
            return None
    return None


def _looked_up(target: Value) -> Judgement | None:
    if not isinstance(target, Attribute):
        return None
    text = spelled(target)
    if isinstance(target.of, Global):
        whole = standing(target.of.module, f"{target.of.name}.{target.name}")
        if whole.grade in ("class", "state", "function", "reference"):
            return None
        if whole.effect in RULES and whole.exact:
            return _reaches(text, Severity.CRITICAL, f", which {DOES[whole.effect or 'apply']}")
    if target.name == "__new__" and isinstance(target.of, Global):
        return None
    if not _plain(target.name):
        severity = Severity.CRITICAL if target.name.startswith("__") else Severity.IMPORTANT
        return _reaches(text, severity, "")
    if isinstance(target.of, Attribute) and not text.startswith(CONSTANT):
        return _reaches(text, Severity.IMPORTANT, "")
    if isinstance(target.of, Global):
        of = grade(target.of)
        if of.grade in ("function", "reference") and not of.stdlib:
            return None
        if of.grade in ("function", "reference"):
            return _reaches(text, Severity.MODERATE, "")
    return None


def _reaches(text: str, severity: Severity, more: str) -> Judgement:
    return Judgement(
        "pickle-reaches-inside",
        text,
        severity,
        Confidence.FIRM,
        f"the attribute {text} is looked up{more}",
    )


def _patched(target: Value) -> Judgement:
    text = spelled(target)
    return Judgement(
        "pickle-patches-import",
        text,
        Severity.CRITICAL if isinstance(target, Global) else Severity.IMPORTANT,
        Confidence.CERTAIN,
        f"{text} itself is changed, not an object made by the stream",
    )


def _effect(target: Global, known: Standing, severity: Severity, how: str) -> Judgement:
    effect = known.effect or "exec"
    confidence = Confidence.CERTAIN if known.exact else Confidence.FIRM
    sentence = f"{target.full} {how} {DOES[effect]}"
    return Judgement(RULES[effect], target.full, severity, confidence, sentence)


def _unknown(target: Global, severity: Severity, known: Standing) -> Judgement:
    why = {
        "unknown": "a package casemate has not vetted",
        "unlisted": "not among the vetted names of its package",
    }.get(known.grade, f"a name that {DOES.get(known.effect or '', 'has an effect')}")
    if target.module == "__main__":
        why = "a name from the program that wrote the file"
    return Judgement(
        "pickle-imports-unknown",
        target.full,
        severity,
        Confidence.FIRM,
        f"{target.full} is imported: {why}",
    )


def _call_unknown(target: Global, severity: Severity) -> Judgement:
    return Judgement(
        "pickle-calls-unknown",
        target.full,
        severity,
        Confidence.FIRM,
        f"{target.full} is called with arguments from the file; what it does is not known",
    )


def _suspicious(found: PickleTrace, use: Use) -> bool:
    for value in (use.args or ())[:16]:
        text = literal(found.machine, value)
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        if isinstance(text, str) and SUSPICIOUS.search(text):
            return True
    return False


def spelled(target: Value) -> str:
    """Return a value as a short name."""
    path: list[str] = []
    for _ in range(8):
        if isinstance(target, Attribute):
            path.insert(0, target.name)
            target = target.of
        elif isinstance(target, Made):
            path[:0] = ["()"] if target.how == "call" else ["__new__()"]
            target = target.by
        elif isinstance(target, Partial):
            target = target.function
        else:
            break
    if isinstance(target, Global):
        head = target.full
    elif isinstance(target, Unknown):
        head = f"<{target.why}>"
    else:
        head = CONSTANT
    return ".".join([head, *path]).replace(".()", "()")
