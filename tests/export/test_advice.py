"""The headline says what the records say, and never more."""

import msgspec
import pytest

from casemate.export.advice import first_steps, headline
from casemate.export.report import Bundle
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.records.verdict import Verdict
from tests.export import bundles


def judged(answer, **changes):
    gate = make(Verdict, question="meets-the-bar", answer=answer, target=bundles.MODEL)
    return Bundle(run=bundles.run_record(), verdicts=(gate,), **changes)


@pytest.mark.parametrize(
    ("bundle", "tone", "words"),
    [
        (judged("no"), "stop", "Does not meet the bar"),
        (judged("yes"), "pass", "Meets the bar"),
        (judged("cannot-tell"), "unsure", "Cannot tell"),
        (Bundle(run=bundles.run_record()), "unsure", "Nothing was checked"),
        (Bundle(run=bundles.run_record(state="interrupted")), "unsure", "Cannot tell"),
        (bundles.hostile_bundle(), "stop", "Do not load this file"),
    ],
)
def test_each_answer_has_its_tone(bundle, tone, words):
    head = headline(bundle)
    assert head.tone == tone
    assert head.words.startswith(words)


def test_a_weak_model_that_meets_a_lenient_bar_is_not_shown_as_a_pass():
    trial = bundles.trial("evasion-pgd")
    bundle = judged("yes", trials=(trial,), findings=(bundles.attack_finding(trial),))
    assert headline(bundle).tone == "unsure"
    assert headline(bundle).words == "Meets the bar, but has weaknesses"


def test_a_model_worse_than_guessing_is_not_shown_as_a_pass():
    trial = bundles.trial("evasion-pgd", clean=bundles.share("accuracy", 2, 200))
    head = headline(judged("yes", trials=(trial,)))
    assert head.tone == "unsure"
    assert "worse than guessing" in " ".join(head.reasons)


def test_a_scan_says_how_many_files_not_to_load():
    verdicts, findings = bundles.scan_part()
    bundle = Bundle(run=bundles.run_record(), verdicts=tuple(verdicts), findings=tuple(findings))
    assert headline(bundle).words == "Do not load 1 of these 3 files"


def test_a_clean_scan_passes_and_says_every_byte():
    verdict = bundles.scan_part()[0][1]
    head = headline(Bundle(run=bundles.run_record(verb="scan"), verdicts=(verdict,)))
    assert head.tone == "pass"
    assert "every byte accounted for" in head.reasons[0]


def test_a_file_not_read_to_its_end_is_never_a_pass():
    verdict = bundles.scan_part()[0][2]
    for one in (verdict, msgspec.structs.replace(verdict, answer="yes")):
        head = headline(Bundle(run=bundles.run_record(verb="scan"), verdicts=(one,)))
        assert head.tone == "unsure"


def test_reasons_name_the_worst_attack_of_each_norm_with_its_interval():
    reasons = " ".join(headline(bundles.image_bundle()).reasons)
    assert "by evasion-apgd-ce; 95 % interval" in reasons
    assert "within a change of 1.5 (L2), by evasion-pgd" in reasons
    assert "2,000 queries agrees with the model on 93 %" in reasons
    assert "No answer for models/old.pt" in reasons


def test_steps_are_the_worst_first_each_remedy_once_and_end_with_what_is_missing():
    bundle = bundles.image_bundle()
    twice = msgspec.structs.replace(
        bundle.findings[0],
        fingerprint="fp-" + "9" * 32,
        target=msgspec.structs.replace(bundle.findings[0].target, uri="models/second.pkl"),
    )
    steps = first_steps(bundle._replace(findings=(*bundle.findings, twice)))
    assert steps[0].severity is Severity.CRITICAL
    assert steps[0].about.endswith("and 1 more file")
    assert [one.how for one in steps].count(steps[0].how) == 1
    assert steps[-1].about == "models/old.pt"
    assert len(first_steps(bundle, limit=2)) == 2
