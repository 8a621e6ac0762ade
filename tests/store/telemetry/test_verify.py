"""Every change to sealed telemetry is found and named."""

import random
import shutil

import pytest

from casemate.errors import UsageError
from casemate.store.telemetry.checkpoint import parse, sign, split
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.keys import public_pem, signing_key
from casemate.store.telemetry.verify import CHANGED, INCOMPLETE, verify
from tests.store.telemetry.places import sealed
from tests.store.telemetry.samples import events


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("original")
    made, _ = sealed(root, rounds=6, each=12)
    found = verify(made.folder, witness=made.witness, public_key=made.public, events=True)
    assert found.faults == ()
    return root


def files(root):
    names = sorted(path for path in (root / "telemetry" / "segments").iterdir())
    log = root / "telemetry" / "log"
    return names, log / "leaves.jsonl", log / "checkpoints"


def some(rng, root):
    """Return a file of the telemetry, the log's more often than their number would have it."""
    segments, leaves, checkpoints = files(root)
    return rng.choice([rng.choice(segments), leaves, checkpoints])


def flip_a_bit(rng, root):
    path = some(rng, root)
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut_off_the_end(rng, root):
    path = some(rng, root)
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def put_bytes_in(rng, root):
    path = some(rng, root)
    data = path.read_bytes()
    at = rng.randrange(len(data) + 1)
    path.write_bytes(data[:at] + rng.randbytes(rng.randint(1, 40)) + data[at:])


def take_bytes_out(rng, root):
    path = some(rng, root)
    data = path.read_bytes()
    at = rng.randrange(len(data))
    path.write_bytes(data[:at] + data[at + rng.randint(1, 40) :])


def delete_a_segment(rng, root):
    rng.choice(files(root)[0]).unlink()


def swap_two_segments(rng, root):
    one, other = rng.sample(files(root)[0], 2)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def put_a_segment_in(rng, root):
    source = rng.choice(files(root)[0])
    shutil.copy(source, source.with_name(f"{rng.randrange(10**10):010d}.parquet"))


def put_a_stranger_in(rng, root):
    (root / "telemetry" / "segments" / f"x{rng.randrange(999)}").write_bytes(rng.randbytes(9))


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def delete_a_leaf(rng, root):
    lines = lines_of(files(root)[1])
    del lines[rng.randrange(len(lines))]
    files(root)[1].write_bytes(b"".join(lines))


def reorder_leaves(rng, root):
    lines = lines_of(files(root)[1])
    one, other = rng.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    files(root)[1].write_bytes(b"".join(lines))


def repeat_a_leaf(rng, root):
    lines = lines_of(files(root)[1])
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    files(root)[1].write_bytes(b"".join(lines))


def say_a_segment_expired(rng, root):
    gone = rng.choice(files(root)[0])
    gone.unlink()
    with files(root)[1].open("ab") as file:
        leaf = '{"leaf":"expiry/1","number":6,"segments":[%d],"sealed":1,"reason":"old"}\n'
        file.write((leaf % int(gone.stem)).encode())


def notes_of(root):
    return split(files(root)[2].read_bytes())[0]


def write_notes(root, notes):
    files(root)[2].write_bytes(b"".join(note + b"\n" for note in notes))


def delete_a_checkpoint(rng, root):
    notes = notes_of(root)
    del notes[rng.randrange(len(notes))]
    write_notes(root, notes)


def reorder_checkpoints(rng, root):
    notes = notes_of(root)
    one, other = rng.sample(range(len(notes)), 2)
    notes[one], notes[other] = notes[other], notes[one]
    write_notes(root, notes)


def repeat_a_checkpoint(rng, root):
    notes = notes_of(root)
    notes.insert(rng.randrange(len(notes) + 1), rng.choice(notes))
    write_notes(root, notes)


def sign_with_another_key(rng, root):
    notes = notes_of(root)
    at = rng.randrange(len(notes))
    true = parse(notes[at])
    other = signing_key(root / "other.pem", root / "telemetry")
    notes[at] = sign(other, true.origin, true.size, true.root, true.previous).note
    write_notes(root, notes)


def roll_everything_back(rng, root):
    """Cut log and segments back to a moment that was true once, with its true signature."""
    segments, leaves, _ = files(root)
    kept = rng.randrange(len(segments))
    for path in segments[kept:]:
        path.unlink()
    leaves.write_bytes(b"".join(lines_of(leaves)[:kept]))
    write_notes(root, notes_of(root)[:kept])


def edit_an_event_and_its_leaf(rng, root):
    """Change a segment and make its leaf fit; the signature no longer can."""
    import hashlib

    segment = rng.choice(files(root)[0])
    data = bytearray(segment.read_bytes())
    before = hashlib.sha256(data).hexdigest().encode()
    data[rng.randrange(len(data))] ^= 0x40
    segment.write_bytes(data)
    leaves = files(root)[1]
    after = hashlib.sha256(data).hexdigest().encode()
    leaves.write_bytes(leaves.read_bytes().replace(before, after))


def replace_the_public_key(rng, root):
    other = signing_key(root / "other.pem", root / "telemetry").public_key()
    (root / "telemetry" / "log" / "log.pub").write_bytes(public_pem(other))


def change_the_witness(rng, root):
    path = root / "witness" / "checkpoints"
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


MUTATIONS = {
    flip_a_bit: None,
    cut_off_the_end: None,
    put_bytes_in: None,
    take_bytes_out: None,
    delete_a_segment: "segment-missing",
    swap_two_segments: "segment-moved",
    put_a_segment_in: "unsigned",
    put_a_stranger_in: "segment-inserted",
    delete_a_leaf: "log-rewritten log-truncated",
    reorder_leaves: "leaf-misplaced",
    repeat_a_leaf: "leaf-misplaced",
    say_a_segment_expired: "unsigned",
    delete_a_checkpoint: "witness-differs",
    reorder_checkpoints: "checkpoint-missing",
    repeat_a_checkpoint: "checkpoint-missing",
    sign_with_another_key: "checkpoint-forged",
    roll_everything_back: "witness-differs",
    edit_an_event_and_its_leaf: "log-rewritten",
    replace_the_public_key: "key-replaced",
    change_the_witness: None,
}
"""Each with one of the faults it must be named by; None where it depends on the place hit."""


def mutate(original, root, kind, seed):
    """Return the kinds of faults named after one mutation, and the answer."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(original, root)
    kind(random.Random(seed), root)
    found = verify(
        root / "telemetry", witness=root / "witness", public_key=root / "keys" / "log.pub"
    )
    return {fault.kind for fault in found.faults}, found.answer


@pytest.mark.parametrize("kind", MUTATIONS, ids=lambda kind: kind.__name__.replace("_", "-"))
def test_every_mutation_is_found_and_named(original, tmp_path, kind):
    for seed in range(6):
        kinds, answer = mutate(original, tmp_path / "copy", kind, seed)
        assert answer != "whole", seed
        named = MUTATIONS[kind]
        assert kinds & set(named.split()) if named else kinds, (seed, kinds)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutations_are_found(original, tmp_path):
    kinds = list(MUTATIONS)
    answers = [
        mutate(original, tmp_path / "copy", kinds[seed % len(kinds)], 1000 + seed)[1]
        for seed in range(10_000)
    ]
    assert "whole" not in answers
    assert len(answers) == 10_000


def test_without_a_witness_it_says_so(original):
    found = verify(original / "telemetry", public_key=original / "keys" / "log.pub")
    assert found.answer == "incomplete"
    assert [fault.kind for fault in found.faults] == ["unwitnessed"]
    found = verify(original / "telemetry")
    assert {fault.kind for fault in found.faults} == {"unwitnessed", "key-unconfirmed"}


def test_a_journal_that_was_deleted_is_missed(tmp_path):
    made, _ = sealed(tmp_path, rounds=1)
    writer = "w-00000000000000aa"
    journal = Journal(made.folder, writer, roll_bytes=5000, window=0)
    for begin in range(0, 60, 10):
        journal.append(events(10, writer=writer, first=begin))
        journal.flush()
    made.seal()
    assert verify(made.folder, witness=made.witness).answer == "whole"
    journal.close()
    for path in (made.folder / "journal").iterdir():
        path.unlink()
    found = verify(made.folder, witness=made.witness)
    assert [fault.kind for fault in found.faults] == ["writer-vanished"]
    assert found.answer == "changed"


def test_damage_in_a_journal_is_named_and_the_rest_is_read(tmp_path):
    made, _ = sealed(tmp_path, rounds=1)
    writer = "w-00000000000000aa"
    journal = Journal(made.folder, writer)
    journal.append(events(50, writer=writer))
    journal.close()
    path = next((made.folder / "journal").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    found = verify(made.folder, witness=made.witness)
    assert {fault.kind for fault in found.faults} == {"journal-damaged", "gap", "unsealed"}
    made.seal()
    found = verify(made.folder, witness=made.witness)
    assert [fault.kind for fault in found.faults] == ["noticed"]
    assert "is damaged at bytes" in found.faults[0].what
    assert found.events == 40 + 50


def test_what_is_no_telemetry_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no telemetry"):
        verify(tmp_path)
    (tmp_path / "journal").mkdir()
    found = verify(tmp_path)
    assert found.answer == "incomplete"
    assert "nothing-sealed" in {fault.kind for fault in found.faults}


def test_every_fault_has_its_words():
    assert not set(CHANGED) & set(INCOMPLETE)
