import re

from casemate.detect.campaigns import IDLE, Campaigns, stable_id

AT = 1_760_000_000_000_000


def join(campaigns, principals, clusters=(), at=AT, marked=None):
    return campaigns.join("m", marked, principals, clusters, at, at).id


def test_ids_sort_by_time_and_are_the_same_for_the_same_parts():
    first, later = stable_id("cam", AT, "m", "eve"), stable_id("cam", AT + 10**9, "m", "eve")
    assert first < later
    assert first == stable_id("cam", AT, "m", "eve")
    assert first != stable_id("cam", AT, "m", "mallory")
    assert re.fullmatch(r"cam-[0-9a-hjkmnp-tv-z]{26}", first)


def test_a_shared_principal_or_cluster_ties_detections_together():
    campaigns = Campaigns()
    first = join(campaigns, ("eve",), (1,))
    assert join(campaigns, ("eve",), (2,)) == first
    assert join(campaigns, ("mallory",), (2,)) == first
    assert join(campaigns, ("alice",), (9,)) != first
    assert campaigns.of("m", "mallory", AT) == first
    assert campaigns.of("m", 1, AT) == first


def test_two_that_turn_out_to_be_one_become_one():
    campaigns = Campaigns()
    first, second = join(campaigns, ("eve",)), join(campaigns, ("mallory",), at=AT + 1000)
    assert first != second
    assert join(campaigns, ("eve", "mallory"), at=AT + 2000) == first
    assert campaigns.of("m", "mallory", AT + 2000) == first


def test_after_a_quiet_day_it_is_another_campaign():
    campaigns = Campaigns()
    first = join(campaigns, ("eve",))
    assert join(campaigns, ("eve",), at=AT + IDLE - 1) == first
    assert join(campaigns, ("eve",), at=AT + 2 * IDLE) != first
    campaigns.forget(AT + 4 * IDLE)
    assert campaigns.of("m", "eve", AT + 2 * IDLE) is None


def test_red_team_traffic_is_a_campaign_of_its_own():
    campaigns = Campaigns()
    assert join(campaigns, ("eve",)) != join(campaigns, ("eve",), marked="run-1")
