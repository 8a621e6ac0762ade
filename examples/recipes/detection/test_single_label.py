import msgspec
from tests.detect.traffic import World

from casemate.detect.watch import Watch


def seen_of(labels):
    """What is seen of a principal whose inputs get these labels, after ordinary traffic."""
    world, watch = World(), Watch(rules=["single-label"])
    watch.feed(world.crowd(600))
    events = [world.ask(world.natural(), "eve") for _ in range(30)]
    return watch.feed(
        msgspec.structs.replace(e, measures=msgspec.structs.replace(e.measures, label=label))
        for e, label in zip(events, labels, strict=True)
    )


def test_one_label_only_is_seen():
    assert [d.principals for d in seen_of([1] * 30)] == [("eve",)]


def test_ordinary_labels_are_not():
    assert seen_of([0, 1] * 15) == []
