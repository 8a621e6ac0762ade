"""Checks of playbooks on cases and events whose every figure is known."""

from datetime import timedelta

import msgspec
import pytest

from casemate.case import evidence
from casemate.case.verifier import faults
from casemate.errors import UsageError
from casemate.records.detection import Detection
from casemate.records.make import make
from casemate.records.verdict import Verdict
from casemate.store.cases import CaseBook
from casemate.store.guards import GuardBook, Standing
from casemate.workflows import affected, bundling, collecting, custody, papers, verifying
from tests.gate.made import FILE, finding, trial
from tests.workflows.casefile import CONFIG, NOW, T, asked, opened, triaged

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def file(tmp_path):
    made = opened(tmp_path)
    yield made
    made.workspace.close()


def freeze(file, name="config/a.toml", data=b"a = 1"):
    folder = collecting.folder_of(file.workspace, file.case)
    item = evidence.keep(folder, name, data, kind="config", source=name, how="copied", at=NOW)
    evidence.write(folder, [item])
    file.log("frozen", "1 item", NOW)
    return folder / evidence.COPIES / item.copy


def test_evidence_must_come_before_containment(file):
    assert file.check("evidence-frozen").state == "failed"
    freeze(file)
    file.contain(at=NOW + MINUTE)
    assert file.check("evidence-frozen").state == "done"


def test_a_containment_before_the_evidence_is_told(file):
    file.contain()
    freeze(file)
    made = file.check("evidence-frozen")
    assert made.state == "failed"
    assert "contained before: rate for mallory" in made.answer


def test_what_was_only_frozen_is_still_to_be_copied(file):
    freeze(file)
    assert file.check("evidence-copied").state == "done"
    folder = collecting.folder_of(file.workspace, file.case)
    late = make(
        evidence.Item, name="artifacts/w.bin", kind="artifact", state="frozen", source="w.bin",
        how="hashed", at=NOW,
    )  # fmt: skip
    evidence.write(folder, [late])
    made = file.check("evidence-copied")
    assert made.state == "waiting"
    assert "artifacts/w.bin" in made.answer
    evidence.write(folder, [msgspec.structs.replace(late, state="failed", why="disk is full")])
    assert "disk is full" in file.check("evidence-copied").answer
    assert file.check("evidence-copied").state == "failed"


def test_a_changed_or_missing_copy_is_named(file):
    copy = freeze(file)
    assert file.check("custody-whole").state == "done"
    copy.write_bytes(b"a = 2")
    assert "config/a.toml: the copy was changed" in file.check("custody-whole").answer
    copy.unlink()
    made = file.check("custody-whole")
    assert made.state == "failed"
    assert "the copy is gone" in made.answer


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, "done"),
        ({"assessment": "drift", "guesses": ()}, "failed"),
        ({"guesses": ({"threat": "model-stealing", "share": 0.8, "because": "x"},)}, "failed"),
    ],
)
def test_the_triage_must_say_what_the_playbook_is_for(file, given, state):
    file.replace(triage=triaged(**given))
    made = file.check("triage-agrees", assessment="attack")
    assert made.state == state
    assert made.answer.count("the triage says") == 1


def test_without_a_triage_checks_wait(file):
    file.replace(triage=None)
    for name in ("triage-agrees", "suspects-known", "suspect-profile", "answers-moved"):
        assert file.check(name).state == "waiting"


def test_an_order_counts_while_it_is_in_force(file):
    assert file.check("order-in-force", actions="throttle").state == "waiting"
    file.contain("rate", hours=2)
    assert file.check("order-in-force", actions="throttle,block").state == "done"
    assert file.check("order-in-force", actions="coarsen").state == "waiting"
    made = file.check("order-in-force", now=NOW + 3 * HOUR, actions="throttle")
    assert made.state == "failed"
    assert "expired" in made.answer
    assert file.check("orders-lifted").state == "waiting"
    assert file.check("orders-lifted", now=NOW + 3 * HOUR).state == "done"


def test_a_change_outside_the_guards_counts_as_what_it_was(file):
    file.log("contained", "alias prod set back to 3", details={"action": "last-good"})
    made = file.check("order-in-force", actions="last-good")
    assert made.state == "done"
    assert "outside the guards" in made.answer


def test_guards_must_obey_what_is_in_force(file):
    order = file.contain()
    now = NOW + MINUTE
    seen = custody.micros(now)
    book = GuardBook(file.workspace)
    assert "nobody obeys" in file.check("guard-obeys", now=now).answer
    book.tell(Standing(writer="w-1", mode="observe", upstream="u", seen=seen))
    made = file.check("guard-obeys", now=now)
    assert made.state == "failed"
    assert "--enforce" in made.answer
    book.tell(Standing(writer="w-1", mode="enforce", upstream="u", seen=seen))
    assert file.check("guard-obeys", now=now).state == "waiting"
    refused = {order.id: "no approver"}
    book.tell(Standing(writer="w-1", mode="enforce", upstream="u", seen=seen, refuses=refused))
    made = file.check("guard-obeys", now=now)
    assert made.state == "failed"
    assert "no approver" in made.answer
    book.tell(Standing(writer="w-1", mode="enforce", upstream="u", seen=seen, obeys=(order.id,)))
    assert file.check("guard-obeys", now=now).state == "done"


def test_facts_owner_and_radius_are_asked_for(file):
    made = file.check("facts-told", names="people_affected,harm")
    assert made.state == "waiting"
    assert "people_affected=... harm=..." in made.answer
    file.replace(facts={"people_affected": 3, "harm": "none"})
    assert file.check("facts-told", names="people_affected,harm").state == "done"
    assert file.check("owner-named").state == "done"
    file.replace(owner=None)
    assert file.check("owner-named").state == "waiting"
    assert file.check("radius-known").state == "waiting"
    file.log("scoped", "2 models, 40 decisions")
    assert file.check("radius-known").answer == "2 models, 40 decisions"


def test_clocks_wait_for_answers_and_fail_when_missed(file):
    made = file.check("clocks-answered")
    assert made.state == "waiting"
    assert "personal_data=yes|no" in made.answer
    names = (
        "high_risk_ai_system", "nis2_entity", "financial_entity", "digital_product",
        "serious_harm", "death", "widespread_infringement", "critical_infrastructure",
        "significant_incident", "major_incident", "actively_exploited", "high_risk_to_people",
    )  # fmt: skip
    facts = dict.fromkeys(names, False) | {"personal_data": True, "risk_to_people": True}
    file.replace(facts=facts)
    made = file.check("clocks-answered")
    assert made.state == "done"
    assert "GDPR: notice to the supervisory authority until" in made.answer
    assert "told_gdpr_authority" in made.answer
    assert file.check("clocks-answered", now=NOW + 73 * HOUR).state == "failed"


def test_papers_and_bundles_are_asked_for(file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert file.check("papers-written", kinds="postmortem").state == "waiting"
    papers.write_paper(file.loaded, file.workspace, file.case, "postmortem", by="ana")
    made = file.check("papers-written", kinds="postmortem")
    assert made.state == "done"
    assert "blanks" in made.answer
    assert file.check("bundle-verifies").state == "waiting"
    file.log("bundled", "bundle of 3 items")
    assert "casemate verify FOLDER" in file.check("bundle-verifies").answer
    (tmp_path / file.case).mkdir()
    (tmp_path / file.case / "bagit.txt").write_text("not one")
    assert file.check("bundle-verifies").state == "failed"


@pytest.fixture
def packed(file, monkeypatch, tmp_path):
    """Return a function that packs the case; the key it is sealed with is this user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path.parent / f"{tmp_path.name}-keys"))
    freeze(file)

    def pack(out):
        out.parent.mkdir(exist_ok=True)
        case = CaseBook(file.workspace).get(file.case)
        return bundling.bundle(file.loaded, file.workspace, case, out=out, by="ana").folder

    return pack


def test_the_last_bundle_is_the_one_that_must_verify(file, packed, tmp_path):
    old = packed(file.workspace.folder / "bundles" / f"{file.case}-20260101T000000Z")
    assert file.check("bundle-verifies").state == "done"
    new = packed(tmp_path / file.case)
    assert file.check("bundle-verifies").answer.endswith("; it verifies")
    (old / "bag-info.txt").write_text("x")
    assert file.check("bundle-verifies").state == "done"
    (new / "bag-info.txt").write_text("x")
    assert file.check("bundle-verifies").state == "failed"


def test_an_older_bundle_does_not_stand_for_the_last(file, packed, tmp_path):
    packed(file.workspace.folder / "bundles" / f"{file.case}-20260101T000000Z")
    packed(tmp_path / "out" / "elsewhere")
    made = file.check("bundle-verifies")
    assert made.state == "waiting"
    assert "lies elsewhere" in made.answer


def test_a_bundle_of_an_unknown_key_verifies_but_not_by_whom(file, packed, tmp_path, monkeypatch):
    packed(tmp_path / file.case)
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path.parent / f"{tmp_path.name}-none"))
    made = file.check("bundle-verifies")
    assert made.state == "done"
    assert "not by whom" in made.answer
    monkeypatch.setitem(faults.INCOMPLETE, "half-read", "part of it could not be read")
    whole = verifying.verify_bundle(tmp_path / file.case)
    whole.fault("half-read", "data")
    monkeypatch.setattr(verifying, "verify_bundle", lambda _: whole)
    made = file.check("bundle-verifies")
    assert made.state == "waiting"
    assert "half-read data" in made.answer


def test_suspects_get_less_or_the_check_fails(file):
    file.events(
        *asked(40, "mallory", -600, flipped=True), *asked(5, "mallory", 60, kind="refused"),
        *asked(30, "ann", -600), *asked(30, "ann", 10),
    )  # fmt: skip
    assert file.check("suspects-stopped").state == "waiting"
    file.contain()
    made = file.check("suspects-stopped", now=NOW + 10 * MINUTE)
    assert made.state == "done"
    assert "40 answered in full, 40 flips" in made.answer
    assert "since: 5 asked, 0 answered in full" in made.answer
    file.events(*asked(40, "mallory", 100, flipped=True))
    assert file.check("suspects-stopped", now=NOW + 10 * MINUTE).state == "failed"


def test_silence_of_everybody_is_not_the_suspects_stopping(file):
    file.events(*asked(40, "mallory", -600, flipped=True), *asked(40, "ann", -600))
    file.contain()
    made = file.check("suspects-stopped")
    assert made.state == "waiting"
    assert "does a guard run?" in made.answer
    file.events(*asked(9, "bob", 60, model="other"))
    assert file.check("suspects-stopped").state == "waiting"
    file.events(*asked(3, "ann", 60))
    made = file.check("suspects-stopped")
    assert made.state == "done"
    assert "they have asked nothing since" in made.answer


def test_hours_without_any_record_do_not_make_suspects_slower(file):
    file.events(*asked(40, "mallory", -600), *asked(6, "mallory", 5))
    file.contain()
    assert file.check("suspects-stopped", now=NOW + 9 * HOUR).state == "failed"
    file.events(*asked(2, "ann", 3600))
    assert file.check("suspects-stopped", now=NOW + 9 * HOUR).state == "done"


def test_suspects_who_stay_but_flip_nothing_have_lost_their_grip(file):
    file.events(*asked(40, "mallory", -600, flipped=True), *asked(40, "mallory", 60))
    file.contain()
    assert file.check("suspects-stopped", now=NOW + 10 * MINUTE).state == "done"


@pytest.mark.parametrize(("refused", "state"), [(0, "done"), (10, "failed")])
def test_others_must_be_served_as_before(file, refused, state):
    file.events(
        *asked(40, "ann", -600), *asked(40, "ann", 60), *asked(refused, "bob", 61, kind="refused"),
        *asked(50, "mallory", 60, kind="refused"),
    )  # fmt: skip
    file.contain()
    made = file.check("others-served")
    assert made.state == state
    assert f"since: {refused} of {40 + refused}" in made.answer


def test_too_few_others_are_no_answer(file):
    file.events(*asked(40, "ann", -600), *asked(3, "ann", 60))
    file.contain()
    assert file.check("others-served").state == "waiting"


@pytest.mark.parametrize(
    ("then", "now", "given", "state"),
    [
        ("1", "2", {}, "done"),
        ("1", "1", {}, "failed"),
        ("1", None, {}, "waiting"),
        (None, "2", {}, "waiting"),
        ("1", "1", {"decision": "route", "enforced": True}, "done"),
    ],
)
def test_another_version_must_answer(file, then, now, given, state):
    file.events(*asked(20, "ann", -600, version=then), *asked(20, "ann", 60, version=now, **given))
    assert file.check("model-replaced").state == state


def test_nobody_asking_since_is_no_answer(file):
    file.events(*asked(20, "ann", -600))
    assert file.check("model-replaced").state == "waiting"


def test_who_asked_what_is_counted(file):
    file.events(
        *asked(40, "mallory", -600, flipped=True, cluster=7, bits=12.0, label=2, confidence=0.5),
        *asked(10, "ann", -600, broken=3, broken_by="column age is out of range"),
    )
    made = file.check("suspect-profile", figure="flips")
    assert made.answer == (
        "by flips: mallory: 40 queries, 40 distinct inputs in 1 clusters, 40 flips, "
        "0 contract breaks, 12 bits served"
    )
    with pytest.raises(UsageError, match="no figure"):
        file.check("suspect-profile", figure="size")
    assert "label 2 100% (confidence 0.50 on average)" in file.check("labels-asked").answer
    file.replace(triage=triaged(suspects=()))
    made = file.check("suspect-profile", figure="broken")
    assert made.answer.startswith("nobody is suspected; the first by broken: ann: 10 queries")
    made = file.check("contract-breaks")
    assert made.state == "waiting"
    assert "--learn-contract" in made.answer
    (file.root / "casemate.toml").write_text(f'{CONFIG}contract = "contract.json"\n')
    made = file.check("contract-breaks")
    assert made.state == "done"
    assert "20.0% of 50 inputs break it" in made.answer
    assert "column age is out of range (10 inputs of 1 principals)" in made.answer


def test_answers_that_moved_are_measured_with_their_versions(file):
    file.events(
        *asked(50, "ann", -3600, label=0), *asked(50, "ann", -3600, label=1),
        *asked(25, "ann", -500, label=0, version="2"),
        *asked(75, "ann", -500, label=1, version="2"),
    )  # fmt: skip
    made = file.check("answers-moved")
    assert made.state == "done"
    assert "25% of the answers moved" in made.answer
    assert "version before: 1; since: 2" in made.answer


def test_failures_and_holes_are_counted_beside_the_day_before(file):
    file.events(
        *asked(10, "ann", -3600), *asked(6, "ann", -500),
        *asked(4, "ann", -500, kind="failed", status=502),
        *asked(1, "", -400, kind="gap", lost=9),
    )  # fmt: skip
    made = file.check("service-health")
    assert "since: 4 of 11 failed" in made.answer
    assert "9 missing" in made.answer
    assert "the day before: 0 of 10" in made.answer


def test_captured_payloads_are_counted(file):
    file.events(*asked(4, "mallory", -500), *asked(4, "ann", -500, payload="sha256:1"))
    made = file.check("payloads-kept")
    assert made.state == "failed"
    assert "keep" in made.answer
    file.events(*asked(2, "mallory", -400, payload="sha256:1"))
    assert file.check("payloads-kept").answer == "2 of 6 inputs were captured"


def verdict(answer="yes", question="artifact-is-clean"):
    return make(Verdict, question=question, answer=answer, target=FILE)


@pytest.mark.parametrize(
    ("records", "given", "state"),
    [
        ([verdict()], {}, "done"),
        ([verdict()], {"started": NOW - HOUR}, "waiting"),
        ([verdict("no"), finding()], {}, "failed"),
        ([verdict(), finding(severity="low")], {}, "done"),
        ([verdict("cannot-tell")], {}, "failed"),
        ([], {}, "failed"),
        ([verdict()], {"state": "interrupted"}, "failed"),
    ],
)
def test_a_scan_since_must_end_and_find_nothing(file, records, given, state):
    file.run("scan", *records, **given)
    assert file.check("scan-clean").state == state


def test_what_a_scan_found_is_told(file):
    assert file.check("scan-found").state == "waiting"
    file.run("scan", finding())
    assert "calls os.system" in file.check("scan-found").answer


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [(0.8, 0.1, "done"), (0.8, 0.8, "failed"), (0.8, 0.78, "failed"), (0.0, 0.0, "done")],
)
def test_the_repeated_attack_must_succeed_less(file, before, after, state):
    assert file.check("attack-fails", families="evasion").state == "waiting"

    def attacked(share, ident):
        held = [n >= share * 50 for n in range(50)]
        return msgspec.structs.replace(trial(held), id=ident)

    file.run("assess", attacked(before, "trial-1"), started=NOW - HOUR)
    assert file.check("attacked-since", families="evasion").state == "waiting"
    assert file.check("attack-fails", families="evasion").state == "waiting"
    file.run("assess", attacked(after, "trial-2"), started=NOW + MINUTE)
    assert file.check("attacked-since", families="evasion").state == "done"
    made = file.check("attack-fails", families="evasion")
    assert made.state == state
    assert f"{before:.0%} before, {after:.0%} now" in made.answer
    assert file.check("attack-fails", families="extraction").state == "waiting"


@pytest.mark.parametrize(
    ("answer", "state"), [("yes", "done"), ("no", "failed"), ("cannot-tell", "failed")]
)
def test_the_gate_must_say_yes_since(file, answer, state):
    file.run("gate", verdict("yes", "meets-the-bar"), started=NOW - HOUR)
    assert file.check("gate-passes").state == "waiting"
    file.run("gate", verdict(answer, "meets-the-bar"))
    assert file.check("gate-passes").state == state


def test_quiet_takes_hours_without_a_detection(file):
    assert file.check("stays-quiet").state == "waiting"
    file.contain()
    assert file.check("stays-quiet", hours="24").state == "waiting"
    file.events(*asked(25, "ann", 60, every=3600.0))
    assert file.check("stays-quiet", now=NOW + 25 * HOUR, hours="24").state == "done"

    def seen(**given):
        body = {
            "id": "det-1", "rule": "query-graph", "conclusion": "attack", "severity": "important",
            "confidence": "firm", "message": "again", "model": "digits", "principals": ("eve",),
            "began": T + 60_000_000, "ended": T + 61_000_000, "made": T + 61_000_000, "queries": 9,
        }  # fmt: skip
        return make(Detection, **{**body, **given})

    file.run("detect", seen(marked="run-1"), seen(model="other"), seen(conclusion="drift"))
    assert file.check("stays-quiet", now=NOW + 25 * HOUR, hours="24").state == "done"
    file.run("detect", seen())
    made = file.check("stays-quiet", now=NOW + 25 * HOUR, hours="24")
    assert made.state == "failed"
    assert "by eve" in made.answer


def test_hours_in_which_nothing_looked_are_not_quiet(file):
    file.contain()
    late = NOW + 25 * HOUR
    file.run("detect", started=NOW + 24 * HOUR)
    made = file.check("stays-quiet", now=late, hours="24")
    assert made.state == "waiting"
    assert "nothing has looked since" in made.answer
    file.events(*asked(2, "ann", 3590))
    made = file.check("stays-quiet", now=late, hours="24")
    assert made.state == "waiting"
    assert "quiet for 1.0 of 24 hours" in made.answer
    standing = Standing(writer="w-1", mode="observe", upstream="u", seen=custody.micros(late))
    GuardBook(file.workspace).tell(standing)
    assert file.check("stays-quiet", now=late, hours="24").state == "done"


def test_a_training_on_record_counts_from_the_opening_on(file):
    from casemate.records.edge import Node
    from casemate.store.lineage import LineageBook

    book = LineageBook(file.workspace)
    book.add([make(Node, id="run:old", kind="run", name="old", at=T - 1)])
    assert file.check("lineage-recorded").state == "waiting"
    book.add([make(Node, id="run:new", kind="run", name="retraining", at=T + 1)])
    assert "retraining" in file.check("lineage-recorded").answer


def test_a_weakness_is_tracked_with_its_score(file):
    from casemate.workflows import vulnerabilities

    assert file.check("vulnerability-scored").state == "waiting"
    vulnerabilities.add(file.loaded, file.workspace, by="ana", from_=file.case)
    made = file.check("vulnerability-scored")
    assert made.state == "done"
    assert "bug-bar" in made.answer


def test_what_is_installed_is_held_against_advisories(file, monkeypatch):
    made = file.check("not-affected")
    assert made.state in ("waiting", "failed")
    assert "looked at" in made.answer
    monkeypatch.setattr(affected.advisories, "published", list)
    made = file.check("not-affected")
    assert made.state == "waiting"
    assert "no model file was looked at" in made.answer
    (file.root / "casemate.toml").write_text(f'{CONFIG}[model]\ntarget = "onnx:m.onnx"\n')
    assert file.check("not-affected").state == "done"


def test_the_log_of_the_events_is_verified(file, monkeypatch):
    assert file.check("record-whole").state == "waiting"
    file.events(*asked(5, "ann", -500))
    assert "not sealed yet" in file.check("record-whole").answer
