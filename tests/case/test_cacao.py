"""CACAO playbooks: ours are valid by the published schemas; anybody's are read, none is run."""

import base64
import json

import pytest

from casemate.case import cacao
from casemate.catalog.entries import Playbook
from casemate.catalog.loader import ROOT, entries
from casemate.errors import FormatError
from tests.case.schemas import cacao_faults

KEY = "{}--00000000-0000-4000-8000-0000000000{:02d}"
START, END = KEY.format("start", 0), KEY.format("end", 99)


def action(number):
    return KEY.format("action", number)


def document(steps, **given):
    workflow = {START: {"type": "start", "on_completion": next(iter(steps))}, **steps}
    workflow[END] = {"type": "end"}
    body = {"type": "playbook", "spec_version": "cacao-2.0", "name": "theirs", **given}
    return {"workflow_start": START, "workflow": workflow, **body}


def step(name, *commands, then=END, **given):
    return {
        "type": "action",
        "name": name,
        "commands": list(commands),
        "on_completion": then,
        **given,
    }


def read(body):
    return cacao.read(json.dumps(body).encode())


@pytest.mark.parametrize("ident", entries("playbooks", Playbook))
def test_a_playbook_of_the_catalog_is_valid_by_the_published_schemas(ident):
    entry = entries("playbooks", Playbook)[ident]
    body = json.loads((ROOT / "playbooks" / entry.body).read_text("utf-8"))
    assert cacao_faults(body) == []


def test_the_schemas_do_see_a_fault():
    body = document({action(1): step("look", {"type": "manual", "command": "look"})})
    assert any("agent" in fault for fault in cacao_faults(body))
    assert any("created_by" in fault for fault in cacao_faults(body))


def test_steps_come_in_the_order_in_which_they_are_taken():
    fork, choice = KEY.format("parallel", 7), KEY.format("if-condition", 8)
    found = read(
        document(
            {
                fork: {
                    "type": "parallel", "next_steps": [action(1), action(2)],
                    "on_completion": choice,
                },
                action(2): step("second"),
                action(1): step("first"),
                choice: {
                    "type": "if-condition", "condition": "$x == 1",
                    "on_true": action(3), "on_false": action(4), "on_completion": action(5),
                },
                action(5): step("fifth", on_failure=action(6)),
                action(4): step("fourth"),
                action(3): step("third"),
                action(6): step("sixth"),
            }
        )
    )  # fmt: skip
    names = [one.name for one in found.steps if one.kind == "action"]
    assert names == ["first", "second", "third", "fourth", "fifth", "sixth"]
    asked = next(one for one in found.steps if one.kind == "if-condition")
    assert asked.commands == (cacao.Command("manual", "Does this hold? $x == 1"),)


def test_a_circle_ends_and_what_is_missing_is_said():
    found = read(
        document(
            {
                action(1): step("first", then=action(2)),
                action(2): step("second", then=action(1), on_failure=action(50)),
                action(3): step("never reached"),
            }
        )
    )
    assert [one.name for one in found.steps] == ["first", "second", "never reached"]
    assert len(found.notes) == 2
    assert "does not have" in found.notes[0]
    assert "never reached" in found.notes[1]


def test_a_coded_command_is_shown_as_text():
    coded = base64.b64encode(b"rm -rf / # \xff").decode()
    found = read(document({action(1): step("wipe", {"type": "bash", "command_b64": coded})}))
    assert found.steps[0].commands[0].text == "rm -rf / # \N{REPLACEMENT CHARACTER}"
    assert found.steps[0].commands[0].check is None


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("casemate case check __case__:value orders-lifted", ("orders-lifted", {})),
        ("casemate case check __case__:value quiet 'a=b c' d=", ("quiet", {"a": "b c", "d": ""})),
        ("casemate case check __case__:value", None),
        ("casemate case check __case__:value quiet; rm -rf /", None),
        ("casemate case check __case__:value quiet `id`", None),
        ("casemate case close __case__:value", None),
        ("casemate case check other quiet", None),
        ("unfinished 'quote", None),
    ],
)
def test_the_one_command_that_is_understood_names_a_check(text, check):
    assert cacao.Command("bash", text).check == check
    assert cacao.Command("manual", text).check is None


def test_a_check_command_is_read_back():
    text = cacao.check_command("order-in-force", {"actions": "block,review", "why": "it's late"})
    assert cacao.Command("bash", text).check == (
        "order-in-force", {"actions": "block,review", "why": "it's late"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a CACAO playbook"),
        (b'{"type": "playbook", "spec_version": "1.1"}', "version"),
        (b'{"type": "playbook", "spec_version": "cacao-2.0"}', "without a workflow"),
        (
            json.dumps(document({action(1): 7}, workflow={START: {"type": "start"}})).encode(),
            "no step",
        ),
        (b" " * (cacao.MOST_BYTES + 1), "bytes"),
        (
            json.dumps(document({action(n): step("x") for n in range(1001)})).encode(),
            "steps",
        ),
    ],
)  # fmt: skip
def test_what_is_no_playbook_is_refused_in_words(data, problem):
    with pytest.raises(FormatError, match=problem):
        cacao.read(data)


def test_hostile_shapes_are_read_as_what_they_are():
    body = document(
        {
            action(1): {"type": ["action"], "name": {"a": 1}, "commands": "rm", "cases": []},
            action(2): None,
            action(3): step("long", {"type": "manual", "command": "x" * 50_000}),
            action(4): step("odd", step_extensions={cacao.EXTENSION: {"step": 7}}),
        }
    )
    found = read(body)
    assert len(found.steps) == 3
    assert found.steps[0].commands == ()
    long = next(one for one in found.steps if one.name == "long")
    assert len(long.commands[0].text) < 21_000
    assert "left out" in long.commands[0].text
    assert any("not understood" in note for note in found.notes)
