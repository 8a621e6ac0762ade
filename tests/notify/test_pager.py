"""One campaign is one page on each channel, whatever fails, restarts or repeats meanwhile."""

import json
import time
from collections import Counter

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.notify import pager as module
from casemate.notify.pager import Pager
from casemate.notify.settings import ChannelTable, MuteTable, NotifyTable
from casemate.records.severity import Severity
from casemate.store.pages import PageBook
from casemate.store.workspace import Workspace
from tests.notify import receivers
from tests.notify.made import HOUR, NOW, SECOND, detection, entry


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as opened:
        yield opened


def a_pager(workspace, *to, mute=(), ocsf=None, timeout=10.0, **fields):
    kinds = {"http": "webhook", "udp:": "syslog", "tcp:": "syslog"}
    channels = tuple(
        one
        if isinstance(one, ChannelTable)
        else ChannelTable(kind=kinds.get(one[:4], "ocsf"), to=one, **fields)
        for one in to
    )
    settings = NotifyTable(channel=channels, mute=mute)
    return Pager(settings, PageBook(workspace), ocsf=ocsf, secrets={}, timeout=timeout)


def outcomes(told):
    return [one.outcome for one in told]


def titles(heard):
    return [json.loads(body)["title"] for _, _, body in heard]


def test_a_campaign_pages_once_and_again_when_it_goes_on(workspace):
    first = detection(campaign="cam-1")
    with receivers.web(200) as (to, heard):
        pager = a_pager(workspace, to)
        assert outcomes(pager.page([first], NOW)) == ["sent"]
        later = [detection(campaign="cam-1", rule="test-other") for _ in range(50)]
        assert outcomes(pager.page(later, NOW + HOUR)) == ["repeated"]
        assert outcomes(pager.page([first], NOW + 23 * HOUR)) == ["repeated"]
        assert pager.page([], NOW + 25 * HOUR) == []
        assert outcomes(pager.page(later, NOW + 25 * HOUR)) == ["sent"]
    pages = [json.loads(body) for _, _, body in heard]
    assert [one["times"] for one in pages] == [1, 2]
    assert pages[0]["id"] != pages[1]["id"]
    assert pages[0]["principals"] == ["eve"]


def test_a_mild_decoy_does_not_mute_what_the_campaign_becomes(workspace):
    decoy = detection(campaign="cam-1", conclusion="probe")
    with receivers.web(200) as (to, heard):
        pager = a_pager(workspace, to)
        for moment, one, outcome in (
            (NOW, decoy, "sent"),
            (NOW + 1, decoy, "repeated"),
            (NOW + 2, detection(campaign="cam-1", conclusion="attack"), "sent"),
            (NOW + 3, detection(campaign="cam-1", severity=Severity.CRITICAL), "sent"),
            (NOW + 4, detection(campaign="cam-1", severity=Severity.CRITICAL), "repeated"),
            (NOW + 5, decoy, "repeated"),
        ):
            assert outcomes(pager.page([one], moment)) == [outcome]
    pages = [json.loads(body) for _, _, body in heard]
    assert [(one["severity"], one["conclusion"], one["times"]) for one in pages] == [
        ("important", "probe", 1), ("important", "attack", 2), ("critical", "attack", 3),
    ]  # fmt: skip
    assert len({one["id"] for one in pages}) == 3


def test_a_restart_neither_repeats_nor_forgets(tmp_path):
    found = detection()
    with receivers.web(503, 503, 200) as (to, heard):
        for moment, expected in (
            (NOW, ["failed"]),
            (NOW, ["repeated"]),  # seen once more, and not due yet
            (NOW + 2 * SECOND, ["repeated", "failed"]),
            (NOW + 6 * SECOND, ["repeated", "sent"]),
            (NOW + 600 * SECOND, ["repeated"]),
        ):
            with Workspace.open(tmp_path / ".casemate") as workspace:
                assert outcomes(a_pager(workspace, to).page([found], moment)) == expected
    assert len({headers["webhook-id"] for _, headers, _ in heard}) == 1
    assert len(heard) == 3


def test_detections_without_a_campaign_go_by_rule_model_and_principal(workspace):
    with receivers.web(200) as (to, heard):
        pager = a_pager(workspace, to)
        for principal in ("eve", "mallory", "eve"):
            pager.page([detection(campaign=None, principals=(principal,))], NOW)
    assert len(heard) == 2


def test_the_worst_of_a_campaign_leads(workspace):
    with receivers.web(200) as (to, heard):
        a_pager(workspace, to).page(
            [
                detection(campaign="cam-1", rule="test-small"),
                detection(campaign="cam-1", rule="test-big", severity=Severity.CRITICAL),
            ],
            NOW,
        )
    page = json.loads(heard[0][2])
    assert page["rule"] == "test-big"
    assert page["text"].splitlines()[0].startswith("[critical]")
    assert "Also seen in it: test-small" in page["text"]
    assert len(page["detections"]) == 2


def test_who_is_not_woken(workspace, monkeypatch):
    monkeypatch.setattr(
        module, "_entry", lambda rule: entry(pages=False) if rule == "test-quiet" else None
    )
    mute = MuteTable(reason="agreed", expires="2026-11-30", model="toy")
    with receivers.web(200) as (to, heard):
        told = a_pager(workspace, to, mute=(mute,)).page(
            [
                detection(marked="run-1"),
                detection(rule="test-quiet"),
                detection(severity=Severity.MODERATE),
                detection(model="toy"),
            ],
            NOW,
        )
    assert outcomes(told) == ["marked", "quiet", "below", "muted"]
    assert told[3].why == "until 2026-11-30: agreed"
    assert heard == []


def test_a_mute_that_has_ended_lets_the_campaign_page(workspace):
    found = detection(campaign="cam-1")
    mute = MuteTable(reason="agreed", expires="2026-11-21", model="fraud")
    with receivers.web(200) as (to, _):
        pager = a_pager(workspace, to, mute=(mute,))
        assert outcomes(pager.page([found], NOW)) == ["muted"]
        assert outcomes(pager.page([found], NOW + 24 * HOUR)) == ["sent"]


def test_each_channel_has_its_own_bar_and_memory(workspace):
    with (
        receivers.web(500) as (bad, _),
        receivers.web(200) as (good, heard),
        receivers.udp() as (
            log,
            lines,
        ),
    ):
        told = a_pager(
            workspace,
            ChannelTable(kind="webhook", to=bad),
            ChannelTable(kind="webhook", to=good, at_least="critical"),
            ChannelTable(kind="syslog", to=log, at_least="low"),
        ).page([detection(severity=Severity.MODERATE), detection()], NOW)
        assert len(lines.wait(2)) == 2
    assert heard == []
    assert Counter((one.channel, one.outcome) for one in told) == {
        ("webhook-1", "below"): 1,
        ("webhook-1", "failed"): 1,
        ("webhook-2", "below"): 2,
        ("syslog-3", "sent"): 2,
    }


def test_a_receiver_that_hangs_costs_one_timeout_and_keeps_nobody_waiting(workspace):
    with receivers.web("hang") as (bad, _), receivers.web(200) as (good, heard):
        pager = a_pager(workspace, bad, good, timeout=1.0)
        start = time.monotonic()
        told = pager.page([detection() for _ in range(3)], NOW)
        assert time.monotonic() - start < 4
    assert outcomes(told).count("failed") == 1
    assert outcomes(told).count("sent") == 3
    assert len(heard) == 3


def test_many_campaigns_at_once_are_one_page(workspace):
    found = [detection(principals=(f"eve-{n}",)) for n in range(200)]
    found[150] = msgspec.structs.replace(found[150], severity=Severity.CRITICAL)
    with receivers.web(200) as (to, heard):
        assert outcomes(a_pager(workspace, to).page(found, NOW)) == ["sent"]
    page = json.loads(heard[0][2])
    assert page["campaigns"] == 200
    assert "eve-150" in page["title"]
    assert "and 179 that are not listed here" in page["text"]


def test_a_flood_is_held_and_then_told_together(workspace):
    with receivers.web(200) as (to, heard):
        pager = a_pager(workspace, to)
        seen = []
        for minute in range(30):
            seen += outcomes(pager.page([detection()], NOW + minute * 60 * SECOND))
        pager.page([], NOW + 45 * 60 * SECOND)
    pages = [json.loads(body) for _, _, body in heard]
    assert len(pages) <= 9
    assert sum(one["campaigns"] for one in pages) == 30  # held, and none of them lost
    assert seen.count("held") > 15


def test_after_a_day_of_failures_it_is_lost_and_said_so(workspace):
    with receivers.web(500) as (to, heard):
        pager = a_pager(workspace, to)
        pager.page([detection()], NOW)
        told = []
        for minute in range(1, 60 * 25):
            told += pager.page([], NOW + minute * 60 * SECOND) if minute % 30 == 0 else []
        assert outcomes(told).count("lost") == 1
        assert told[-1].outcome == "lost"
        assert "answered 500" in told[-1].why
    assert len(heard) < 60


def test_a_channel_that_was_taken_away_loses_its_pages_out_loud(workspace):
    with receivers.web(500) as (to, _):
        a_pager(workspace, to).page([detection()], NOW)
        told = a_pager(workspace).page([], NOW + 10 * SECOND)
    assert [(one.outcome, one.why) for one in told] == [
        ("lost", "the channel is no longer configured")
    ]


def test_the_stream_gets_every_detection_once_and_unwoken(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_entry", lambda rule: entry(pages=False))
    path = tmp_path / "out.jsonl"
    found = [detection(campaign="cam-1", severity=Severity.LOW) for _ in range(10)]
    pager = a_pager(
        workspace, str(path), ocsf=lambda one: f'{{"uid":"{one.id}"}}'.encode(), at_least="low"
    )
    told = pager.page([*found, detection(marked="run-1")], NOW)
    assert Counter(outcomes(told)) == {"sent": 10, "marked": 1}
    assert set(outcomes(pager.page(found, NOW + 48 * HOUR))) == {"repeated"}
    lines = [json.loads(line)["uid"] for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(one.id for one in found)


def test_a_clock_set_back_neither_repeats_nor_blocks(workspace):
    found = detection()
    with receivers.web(500, 500, 200) as (to, _):
        pager = a_pager(workspace, to)
        pager.page([found], NOW)
        pager.page([], NOW - 30 * 24 * HOUR)
        assert outcomes(pager.page([found], NOW - 30 * 24 * HOUR + 20 * SECOND)) == [
            "repeated",
            "sent",
        ]
        assert outcomes(pager.page([found], NOW - 29 * 24 * HOUR)) == ["repeated"]


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        (ChannelTable(kind="webhook", to="https://a.example", secret_env="NO_SUCH"), "NO_SUCH"),
        (ChannelTable(kind="ocsf", to="out.jsonl"), "nothing writes OCSF"),
        (ChannelTable(kind="syslog", to="https://a.example"), "not the address"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_happens(workspace, channel, words):
    with pytest.raises(UsageError, match=words):
        a_pager(workspace, channel)
