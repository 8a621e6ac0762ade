from casemate.records.system import Component, Flow, System
from casemate.threats.reach import reach

WEB = Component(name="web", kind="client", callers=("public",))
STAFF = Component(name="staff", kind="client", callers=("internal",))
API = Component(name="api", kind="endpoint")
NET = Component(name="net", kind="model")
ROWS = Component(name="rows", kind="dataset")
HUB = Component(name="hub", kind="dataset")


def system(*flows):
    return System(components=(WEB, STAFF, API, NET, ROWS, HUB), flows=flows)


def test_nothing_described_is_nothing_known():
    found = reach(NET, system())
    assert found == ((), False, (), False)
    assert not found.anyone


def test_callers_pass_through_an_endpoint_to_the_model():
    flows = (
        Flow(source="web", target="api", untrusted=True),
        Flow(source="api", target="net"),
    )
    found = reach(NET, system(*flows))
    assert found.callers == ("web", "public")
    assert found.untrusted_inputs
    assert found.anyone
    assert found.suppliers == ()


def test_who_sends_training_rows_does_not_send_the_model_inputs():
    flows = (Flow(source="web", target="rows", untrusted=True), Flow(source="rows", target="net"))
    assert reach(NET, system(*flows)).callers == ()
    assert reach(ROWS, system(*flows)).suppliers == ("web",)


def test_rows_are_followed_to_where_they_come_from():
    flows = (Flow(source="hub", target="rows"), Flow(source="web", target="hub", untrusted=True))
    assert reach(ROWS, system(*flows)).suppliers == ("web",)


def test_a_model_from_outside_has_a_supplier():
    found = reach(NET, system(Flow(source="hub", target="net", untrusted=True)))
    assert found.suppliers == ("hub",)
    assert found.described


def test_staff_alone_is_not_anyone():
    found = reach(NET, system(Flow(source="staff", target="net")))
    assert found.callers == ("staff", "internal")
    assert not found.anyone


def test_a_circle_ends():
    flows = (Flow(source="api", target="net"), Flow(source="net", target="api"))
    assert reach(API, system(*flows)).callers == ()
    assert reach(NET, system(*flows)).callers == ()
