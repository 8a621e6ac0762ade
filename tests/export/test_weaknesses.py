"""Findings are grouped by weakness, and nothing is told twice."""

from casemate.export.report import by_file
from casemate.export.weaknesses import files_of, title_of, ways, weaknesses_of
from tests.export import bundles


def test_findings_of_one_attack_are_one_weakness_with_the_commands_of_each():
    bundle = bundles.image_bundle()
    trials = [bundles.trial("evasion-pgd"), bundles.trial("evasion-pgd", norm="l2", eps=1.5)]
    found = [bundles.attack_finding(one) for one in trials]
    bundle = bundle._replace(trials=tuple(trials), commands={trials[1].id: "casemate attack"})
    (one,) = weaknesses_of(bundle, found)
    assert [seen.finding for seen in one.sightings] == found
    assert [seen.command for seen in one.sightings] == [None, "casemate attack"]
    assert [seen.trial for seen in one.sightings] == trials


def test_each_mitigation_is_told_once_the_most_useful_first():
    bundle = bundles.image_bundle()
    trials = [bundles.trial("evasion-pgd"), bundles.trial("evasion-square")]
    told = ways(weaknesses_of(bundle, [bundles.attack_finding(one) for one in trials]))
    assert len({way.id for way, _ in told}) == len(told) > 0
    answered = [len(titles) for _, titles in told]
    assert answered == sorted(answered, reverse=True)


def test_files_come_worst_first():
    bundle = bundles.image_bundle()
    files = files_of(bundle, by_file(one for one in bundle.findings if one.trial is None))
    assert [one.word for one in files] == ["findings", "incomplete", "clean"]
    assert [one.rule for one in files[0].weaknesses] == [
        "pickle-runs-shell",
        "pickle-unknown-import",
    ]


def test_titles_come_from_the_catalog_of_any_kind_and_unknown_ids_stay():
    assert title_of("adversarial-perturbation") != "adversarial-perturbation"
    assert title_of("never-heard-of") == "never-heard-of"
