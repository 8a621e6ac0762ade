from msgspec.structs import replace

from casemate.detect.watch import Watch
from casemate.records.event import Event, Measures
from casemate.records.severity import Confidence
from tests.detect.traffic import START, World


def bare(n, **measures):
    return [
        Event(
            writer="w-00000000000000aa", sequence=i, at=START + i, principal="a", model="m",
            measures=Measures(**measures),
        )
        for i in range(n)
    ]  # fmt: skip


def test_too_few_inputs_say_nothing():
    watch = Watch()
    watch.feed(World().crowd(20))
    word, reasons = watch.conclude()
    assert word == "cannot tell"
    assert "only 20 inputs" in reasons[0]


def test_enough_ordinary_ones_are_no_attack():
    watch = Watch()
    watch.feed(World().crowd(200))
    assert watch.conclude().word == "no attack"


def test_inputs_without_fingerprints_or_answers_are_not_called_clean():
    watch = Watch()
    watch.feed(bare(200))
    word, reasons = watch.conclude()
    assert word == "cannot tell"
    assert len(reasons) == 2


def test_a_record_that_is_mostly_lost_is_not_called_clean():
    watch = Watch()
    watch.feed(World().crowd(200))
    watch.feed([Event(writer="w-00000000000000aa", sequence=900, at=START, kind="gap", lost=500)])
    word, reasons = watch.conclude()
    assert word == "cannot tell"
    assert "500 requests" in reasons[0]


def test_an_attack_outweighs_doubt_and_both_are_told():
    watch, world = Watch(), World()
    watch.feed(world.crowd(300) + world.descent(80) + bare(500))
    word, reasons = watch.conclude()
    assert word == "attack"
    assert any("margin-descent" in reason for reason in reasons)
    assert any("not compared" in reason for reason in reasons)


def test_tentative_signs_alone_are_no_attack_and_not_nothing():
    watch, world = Watch(), World()
    watch.feed(world.crowd(300))
    (seen, *_) = Watch().feed(World().crowd(300) + World().descent(80))
    weak = replace(
        seen, rule="extraction-natural", conclusion="attack", confidence=Confidence.TENTATIVE
    )
    watch.record.detected(weak, pages=False)
    word, reasons = watch.conclude()
    assert word == "cannot tell"
    assert reasons[0] == "extraction-natural: 1 detection"
    assert "tentative" in reasons[1]
    watch.record.detected(replace(weak, confidence=Confidence.FIRM), pages=False)
    assert watch.conclude().word == "attack"
