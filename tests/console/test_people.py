"""Sessions end when they should, and a form belongs to one of them."""

from casemate.console import people
from casemate.console.people import Person, Sessions

ANN = Person("ann", "responder", "token")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_session_is_found_by_its_cookie_alone_and_ends():
    clock = Clock()
    sessions = Sessions(clock=clock)
    cookie, session = sessions.open(ANN)
    assert cookie not in session.ident
    assert sessions.get(cookie) is session
    assert sessions.get(cookie + "x") is None
    assert sessions.get("\ud800") is None
    clock.now += people.IDLE - 1
    assert sessions.get(cookie) is session
    clock.now += people.IDLE + 1
    assert sessions.get(cookie) is None
    assert sessions.all() == []


def test_no_session_lasts_for_ever_however_busy():
    clock = Clock()
    sessions = Sessions(clock=clock)
    cookie, session = sessions.open(ANN)
    for _ in range(int(people.LONGEST / 3600)):
        clock.now += 3600
        assert sessions.get(cookie) is session
        assert sessions.holds(session)
    clock.now += 1
    assert not sessions.holds(session)
    assert sessions.get(cookie) is None


def test_a_person_who_may_no_longer_is_out_at_once():
    allowed = {"ann"}
    sessions = Sessions(stands=lambda one: one.name in allowed)
    cookie, session = sessions.open(ANN)
    assert sessions.get(cookie) is session
    allowed.clear()
    assert not sessions.holds(session)
    assert sessions.get(cookie) is None


def test_sessions_are_closed_one_by_one_or_all_of_a_person():
    sessions = Sessions()
    mine = [sessions.open(ANN) for _ in range(3)]
    other, _ = sessions.open(Person("bob", "viewer", "token"))
    sessions.close(mine[0][1])
    assert sessions.get(mine[0][0]) is None
    assert sessions.close_all("ann") == 2
    assert [one.person.name for one in sessions.all()] == ["bob"]
    assert sessions.get(other) is not None


def test_there_are_only_so_many():
    clock = Clock()
    sessions = Sessions(clock=clock)
    first, _ = sessions.open(ANN)
    for _ in range(people._MOST):
        clock.now += 1
        sessions.open(ANN)
    assert len(sessions.all()) == people._MOST
    assert sessions.get(first) is None


def test_a_form_of_another_session_is_told_apart():
    sessions = Sessions()
    (_, one), (_, other) = sessions.open(ANN), sessions.open(ANN)
    assert one.knows(one.csrf)
    assert not one.knows(other.csrf)
    assert not one.knows("")
    assert not one.knows("\ud800é")


def test_roles_reach_as_far_as_they_say():
    reach = {
        role: [Person("x", role, "token").may(other) for other in people.ROLES]
        for role in people.ROLES
    }
    assert reach == {
        "viewer": [True, False, False],
        "responder": [True, True, False],
        "admin": [True, True, True],
    }
