"""The link works once, and not for long."""

from casemate.console import signin
from casemate.console.people import Person
from casemate.console.signin import Doors, Link


def test_a_link_works_once():
    link = Link("olga")
    key = link.fresh()
    assert link.use("guess") is None
    assert link.use(key) == Person("olga", "admin", "link")
    assert link.use(key) is None


def test_a_new_link_ends_the_one_before():
    link = Link("olga")
    old, new = link.fresh(), link.fresh()
    assert link.use(old) is None
    assert link.use(new) is not None


def test_a_link_nobody_used_ends_by_itself():
    now = [0.0]
    link = Link("olga", clock=lambda: now[0])
    key = link.fresh()
    now[0] = signin.LASTS + 1
    assert link.use(key) is None


def test_before_there_is_a_link_nothing_opens():
    link = Link("olga")
    for key in ("", "\ud800", "x"):
        assert link.use(key) is None
    assert Doors().enter("") is None
    assert Doors().stands(Person("olga", "admin", "link"))
