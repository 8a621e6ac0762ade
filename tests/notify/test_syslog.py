"""Syslog messages have the form of RFC 5424, within a datagram, and octets are counted over TCP."""

import re

import pytest

from casemate.errors import TargetError, UsageError
from casemate.notify.page import compose
from casemate.notify.syslog import Syslog, message
from casemate.records.severity import Severity
from tests.notify import receivers
from tests.notify.made import NOW, detection, entry

# RFC 5424, section 6: HEADER SP STRUCTURED-DATA SP MSG, with one element and UTF-8 announced.
FORM = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) "
    rb"casemate (?P<pid>\d+) (?P<id>[!-~]{1,32}) "
    rb"\[casemate@32473(?P<data>( [a-z]+=\"([^\"\\\]]|\\[\"\\\]])*\")+)\] \xef\xbb\xbf(?P<text>.*)"
)


def page(**fields):
    return compose("page-1", [detection(**fields)], entry(), now=NOW)


def test_it_has_the_form_and_says_what_the_page_says():
    found = FORM.fullmatch(message(page(), NOW, host="guard 1\n", limit=2048))
    assert found["pri"] == b"107"  # log audit, error
    assert found["time"] == b"2026-11-21T03:12:05.000000Z"
    assert found["host"] == b"guard_1_"
    assert found["id"] == b"test-border-walk"
    assert b' principal="eve"' in found["data"]
    assert b"Next: | 1. Ask whose account it is." in found["text"]


@pytest.mark.parametrize(("severity", "level"), zip(Severity, (2, 3, 4, 5), strict=True))
def test_severity_is_the_level(severity, level):
    found = FORM.fullmatch(message(page(severity=severity), NOW, host="h", limit=2048))
    assert int(found["pri"]) == 13 * 8 + level


def test_hostile_names_stay_inside_their_quotes_and_the_limit_holds():
    evil = '"] \\ \n\x00 <13>1 - - - "' + "é" * 5000
    data = message(
        page(principals=(evil,), rule="r" * 99, message="ü" * 900), NOW, host="", limit=1200
    )
    assert 1190 < len(data) <= 1200
    assert data.decode("utf-8")
    found = FORM.fullmatch(data)
    assert found["host"] == b"-"
    assert b'principal="\\"\\] \\\\ ' in found["data"].replace(b"\\\\u000a", b"")


def test_it_arrives_over_udp():
    with receivers.udp() as (to, heard):
        Syslog(to).send(page(), NOW)
        (data,) = heard.wait(1)
    assert FORM.fullmatch(data)


def test_it_arrives_over_tcp_with_its_octets_counted():
    evil = page(message="é\n" * 300)
    with receivers.tcp() as (to, heard):
        Syslog(to).send(evil, NOW)
        Syslog(to).send(page(), NOW)
        whole = heard.wait(2)
    for data in whole:
        count, _, rest = data.partition(b" ")
        assert int(count) == len(rest)
        assert FORM.fullmatch(rest)


def test_a_receiver_that_is_gone_or_goes_away_is_an_error():
    with pytest.raises(TargetError, match="refused"):
        Syslog(receivers.nobody("tcp")).send(page(), NOW)
    gone = r"reset|[Pp]ipe|not connected"
    with receivers.tcp(rude=True) as (to, _), pytest.raises(TargetError, match=gone):
        Syslog(to).send(page(), NOW)
    with pytest.raises(TargetError):
        Syslog("tcp://no-such-host.invalid:601").send(page(), NOW)


@pytest.mark.parametrize("to", ["https://a", "udp://", "tcp://host:99999", "tcp://host:x", "host"])
def test_what_is_no_address_is_refused(to):
    with pytest.raises(UsageError, match="not the address"):
        Syslog(to)
