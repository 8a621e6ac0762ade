"""What a case reaches, and what is done about it without a guard; all of it on the custody log."""

import subprocess

import msgspec
import pytest

from casemate.errors import TargetError, UsageError
from casemate.records.edge import Edge, Node
from casemate.records.incident import Suspect, Triage
from casemate.records.make import make
from casemate.store.cases import CaseBook
from casemate.store.lineage import LineageBook
from casemate.store.workspace import Workspace
from casemate.workflows import custody, operating
from casemate.workflows.config import read
from tests.case.made import incident
from tests.servers.registry import registry

SITE = "server {\n  location / {\n    proxy_pass http://model;\n  }\n}\n"


@pytest.fixture
def loaded(tmp_path):
    text = '[guard]\nprincipal = { header = "x-user" }\nlast_good = "http://good:8080"\n'
    (tmp_path / "casemate.toml").write_text(f"version = 1\n{text}")
    return read(tmp_path / "casemate.toml")


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate", create=True) as opened:
        yield opened


@pytest.fixture
def case(workspace):
    suspect = make(
        Suspect, principal="mallory", queries=9, began=1, ended=2, confidence="certain", because="x"
    )
    triage = make(
        Triage, assessment="attack", confidence="certain", suspects=(suspect,), models=("fraud",)
    )
    found = incident(triage=triage)
    cases = CaseBook(workspace)
    cases.open(2026, lambda ident: (
        msgspec.structs.replace(found, id=ident), custody.action("ada", "opened", "x", case=ident),
    ))  # fmt: skip
    return found.id


def freeze(workspace, case):
    done = custody.action("ada", "frozen", "evidence is frozen")
    CaseBook(workspace).change(case, done, lambda one: one)


def last(workspace, case):
    return CaseBook(workspace).log(case).actions[-1]


def test_a_radius_goes_on_record_with_what_it_reaches(loaded, workspace, case):
    nodes = [
        make(Node, id="file:rows.csv", kind="file", name="rows.csv"),
        make(Node, id="mlflow:models/fraud/2", kind="version", name="fraud 2"),
        make(Node, id="mlflow:models/fraud@prod", kind="alias", name="fraud@prod"),
    ]
    pairs = [(nodes[0], nodes[1], "derived-from"), (nodes[1], nodes[2], "aliased-as")]
    edges = [
        make(Edge, source=a.id, target=b.id, relation=relation, by="t") for a, b, relation in pairs
    ]
    LineageBook(workspace).add(nodes, edges)
    blast = operating.radius(loaded, workspace, case, by="bo", nodes=["rows.csv"])
    assert [one.node.name for one in blast.radius.recorded["version"]] == ["fraud 2"]
    told = last(workspace, case)
    assert (told.kind, told.author) == ("scoped", "bo")
    assert "fraud 2" in told.text
    assert "mlflow:models/fraud/2" in told.records
    assert told.details["version"] == 1


class TestPatch:
    def test_the_suspects_the_header_and_the_good_version_come_from_the_case(
        self, tmp_path, loaded, workspace, case
    ):
        path = tmp_path / "site.conf"
        path.write_text(SITE)
        made = operating.patch(loaded, workspace, case, "block", path, by="bo")
        assert '+    "mallory" 1;' in made.text
        assert "$http_x_user" in made.text
        made = operating.patch(loaded, workspace, case, "last-good", path, by="bo")
        assert "http://good:8080" in made.text
        done = subprocess.run(["patch", path], input=made.text.encode(), capture_output=True)
        assert done.returncode == 0
        told = last(workspace, case)
        assert (told.kind, told.outcome) == ("contained", "planned")
        assert told.records[0].startswith("sha256:")

    def test_others_may_be_named_instead(self, tmp_path, loaded, workspace, case):
        path = tmp_path / "site.conf"
        path.write_text(SITE)
        made = operating.patch(
            loaded, workspace, case, "throttle", path, by="bo", principals=["eve"],
            settings={"per_minute": 3},
        )  # fmt: skip
        assert "eve" in made.text
        assert "mallory" not in made.text
        assert "rate=3r/m" in made.text

    def test_a_file_that_is_not_there_is_told(self, tmp_path, loaded, workspace, case):
        with pytest.raises(UsageError, match="cannot be read"):
            operating.patch(loaded, workspace, case, "block", tmp_path / "no", by="bo")


def known(workspace, *versions, model="fraud"):
    """Versions the lineage knows, `poison` reaching those marked with `!`."""
    poison = make(Node, id="file:poison.csv", kind="file", name="poison.csv")
    nodes, edges = [poison], []
    for one in versions:
        number = one.strip("!")
        node = make(
            Node, id=f"mlflow:models/{model}/{number}", kind="version", name=f"{model} {number}"
        )
        nodes.append(node)
        if one.endswith("!"):
            edges.append(
                make(Edge, source=poison.id, target=node.id, relation="derived-from", by="t")
            )
    LineageBook(workspace).add(nodes, edges)


class TestAlias:
    @pytest.fixture
    def fraud(self):
        with registry({"fraud": [["1", "2", "3"], {"prod": "3", "shadow": "1"}]}) as held:
            yield held

    @pytest.fixture
    def scoped(self, loaded, workspace, case):
        known(workspace, "1", "2", "3!")
        operating.radius(loaded, workspace, case, by="bo", nodes=["poison.csv"])

    @pytest.mark.usefixtures("scoped")
    def test_it_goes_back_to_the_version_before(self, loaded, workspace, case, fraud):
        freeze(workspace, case)
        lines = operating.set_alias(loaded, workspace, case, fraud.url, by="bo")
        assert fraud.models["fraud"][1] == {"prod": "2", "shadow": "1"}
        assert "--to 3" in lines[1]
        told = CaseBook(workspace).log(case).actions[-2:]
        assert [(one.kind, one.outcome) for one in told] == [
            ("contained", "planned"), ("contained", "done"),
        ]  # fmt: skip
        assert {(one.details["former"], one.details["now"]) for one in told} == {("3", "2")}
        assert CaseBook(workspace).get(case).state == "contained"

    def test_without_a_radius_no_version_counts_as_good(self, loaded, workspace, case, fraud):
        known(workspace, "1", "2", "3")
        with pytest.raises(UsageError, match="not known") as caught:
            operating.set_alias(loaded, workspace, case, fraud.url, by="bo", emergency=True)
        assert "case radius" in caught.value.hint
        assert fraud.models["fraud"][1]["prod"] == "3"
        operating.set_alias(loaded, workspace, case, fraud.url, by="bo", to="1", emergency=True)
        assert fraud.models["fraud"][1]["prod"] == "1"

    def test_a_radius_that_was_not_kept_is_none(self, loaded, workspace, case, fraud):
        scoped = custody.action("bo", "scoped", "x", records=("mlflow:models/fraud/3",))
        CaseBook(workspace).change(case, scoped)
        with pytest.raises(UsageError, match="was not kept"):
            operating.set_alias(loaded, workspace, case, fraud.url, by="bo", dry_run=True)

    def test_versions_within_any_radius_are_passed_over(self, loaded, workspace, case, fraud):
        known(workspace, "1", "2!", "3")
        nodes = ["mlflow:models/fraud/3"], ["poison.csv"], ["mlflow:models/fraud/3"]
        for some in nodes:
            operating.radius(loaded, workspace, case, by="bo", nodes=some)
        lines = operating.set_alias(loaded, workspace, case, fraud.url, by="bo", dry_run=True)
        assert "would stand for 1" in lines[0]
        assert fraud.models["fraud"][1]["prod"] == "3"

    def test_versions_beyond_what_the_log_names_are_passed_over(self, loaded, workspace, case):
        numbers = [str(number) for number in range(1, 1203)]
        known(workspace, "1", *(f"{number}!" for number in numbers[1:]))
        operating.radius(loaded, workspace, case, by="bo", nodes=["poison.csv"])
        with registry({"fraud": [numbers[-60:], {"prod": "1202"}]}) as held:
            with pytest.raises(UsageError, match="known to be good"):
                operating.set_alias(loaded, workspace, case, held.url, by="bo", dry_run=True)
            held.models["fraud"][0] = ["1", *numbers[-60:]]
            lines = operating.set_alias(loaded, workspace, case, held.url, by="bo", dry_run=True)
        assert "would stand for 1" in lines[0]

    def test_a_version_the_lineage_does_not_know_is_not_known_to_be_good(
        self, loaded, workspace, case, fraud
    ):
        known(workspace, "1", "3!")
        operating.radius(loaded, workspace, case, by="bo", nodes=["poison.csv"])
        lines = operating.set_alias(loaded, workspace, case, fraud.url, by="bo", dry_run=True)
        assert "would stand for 1" in lines[0]

    @pytest.mark.usefixtures("scoped")
    def test_evidence_comes_first(self, loaded, workspace, case, fraud):
        with pytest.raises(UsageError, match="not frozen"):
            operating.set_alias(loaded, workspace, case, fraud.url, by="bo")
        assert fraud.models["fraud"][1]["prod"] == "3"
        operating.set_alias(loaded, workspace, case, fraud.url, by="bo", emergency=True)
        assert "before the evidence was frozen" in last(workspace, case).text

    def test_what_fails_is_on_the_log(self, loaded, workspace, case):
        freeze(workspace, case)
        with (
            registry({"fraud": [["1", "2"], {"prod": "2"}]}, stubborn=True) as held,
            pytest.raises(TargetError, match="still stands"),
        ):
            operating.set_alias(loaded, workspace, case, held.url, by="bo", to="1")
        told = CaseBook(workspace).log(case).actions[-2:]
        assert [one.outcome for one in told] == ["planned", "failed"]
        assert "still stands" in told[1].text
        assert CaseBook(workspace).get(case).state == "open"

    def test_a_closed_case_changes_nothing(self, tmp_path, loaded, workspace, case, fraud):
        path = tmp_path / "site.conf"
        path.write_text(SITE)
        closed = custody.action("ada", "closed", "over")
        CaseBook(workspace).change(
            case, closed, lambda one: msgspec.structs.replace(one, state="closed")
        )
        with pytest.raises(UsageError, match="is closed"):
            operating.set_alias(loaded, workspace, case, fraud.url, by="bo", to="1", emergency=True)
        with pytest.raises(UsageError, match="is closed"):
            operating.patch(loaded, workspace, case, "block", path, by="bo")
        assert fraud.models["fraud"][1]["prod"] == "3"
        assert last(workspace, case).kind == "closed"

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"model": "other"}, "no model 'other'"),
            ({"alias": "beta"}, "no alias 'beta'"),
            ({"alias": "shadow"}, "no version before 1"),
        ],
    )
    @pytest.mark.usefixtures("scoped")
    def test_what_is_not_clear_is_asked(self, loaded, workspace, case, fraud, settings, said):
        with pytest.raises(UsageError, match=said) as caught:
            operating.set_alias(loaded, workspace, case, fraud.url, by="bo", settings=settings)
        assert caught.value.hint
