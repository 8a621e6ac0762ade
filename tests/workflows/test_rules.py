"""Sigma rules are run, not only converted: what each must fire on and must not."""

from datetime import datetime

import pytest
import yaml

from casemate.catalog import loader
from casemate.errors import UsageError
from casemate.export.siem import FIELDS
from casemate.workflows import rules

RULES = rules.sigma_rules()


@pytest.mark.parametrize("rule", RULES, ids=lambda one: one.id)
def test_a_rule_fires_where_it_must_and_keeps_quiet_where_it_must(rule):
    tried = rules.test(rule)
    assert {one.case.fires for one in tried} == {True, False}
    assert [one.case.why for one in tried if not one.passed] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda one: one.id)
def test_a_rule_speaks_of_the_log_source_and_its_fields_alone(rule):
    documents = list(yaml.safe_load_all(rules.text(rule)))
    assert len({one["id"] for one in documents}) == len(documents)
    for one in documents:
        if "detection" in one:
            assert one["logsource"] == {
                "category": "ml_inference",
                "product": "casemate",
                "service": "guard",
            }
            for name, selection in one["detection"].items():
                if name != "condition":
                    assert set(selection) <= set(FIELDS)
        if "correlation" in one:
            assert set(one["correlation"]["group-by"]) <= set(FIELDS)


@pytest.mark.parametrize("to", rules.LANGUAGES)
@pytest.mark.parametrize("rule", RULES, ids=lambda one: one.id)
def test_no_conversion_loses_the_time_window(rule, to):
    query = rules.convert(rule, to)
    assert rule.id in query
    documents = list(yaml.safe_load_all(rules.text(rule)))
    window = next((one["correlation"]["timespan"] for one in documents if "correlation" in one), "")
    if window:
        number, unit = window[:-1], window[-1]
        seconds = int(number) * {"m": 60, "h": 3600, "d": 86400}[unit]
        accepted = {
            "splunk": [f"span={window}", f"_time+{seconds // 2}"],
            "esql": [f"date_trunc({number}", f"+ {seconds // 2} seconds"],
            "kusto": [f"<= {window}", f"bin(TimeGenerated, {window})", "bin(TimeGenerated, 30m)"],
            "sqlite": [f"RANGE BETWEEN {seconds} PRECEDING", f"- {seconds}"],
        }[to]
        assert any(word in query for word in accepted), query


def test_a_burst_over_the_edge_of_a_bucket_is_found_by_one_of_two_queries():
    """What the shifted query is for, with the arithmetic Splunk and ES|QL do."""
    rule = next(one for one in RULES if one.id == "near-duplicate-burst")
    case = next(one for one in rule.case if one.fires)
    times = [
        datetime.fromisoformat(str(one["timestamp"])).timestamp() for one in rules.events(case)
    ]

    def most(shift: float) -> int:
        buckets = [(at + shift) // 300 for at in times]
        return max(buckets.count(one) for one in buckets)

    assert most(0) < 25 <= most(150)


def test_what_is_no_sigma_rule_says_so():
    other = next(
        one.id for one in loader.entries("detections", rules.Detector).values() if not one.body
    )
    with pytest.raises(UsageError, match="no Sigma rule"):
        rules.sigma_rules([other])
    with pytest.raises(UsageError, match="no language"):
        rules.convert(RULES[0], "sql")
