"""Ways to tamper with a bundle, by somebody who can write all of it but has not the key.

A bundle is a mapping of paths to bytes here. Each way returns the tampered one, the faults of which
at least one must be named, and what must be named with it. `mended` ones have every checksum that
needs no key put right afterwards.
"""

import base64
import hashlib
import json
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from casemate.case.bundle import sealing
from casemate.case.verifier.notes import parse_checkpoint
from casemate.store import dsse
from casemate.store.telemetry import merkle
from casemate.store.telemetry.keys import public_pem

LEAVES, NOTE, KEY = "seal/leaves.jsonl", "seal/checkpoint", "seal/case.pub"
COLLECTED, CUSTODY = "seal/collection.dsse.json", "data/case/custody.jsonl"
THIEF = Ed25519PrivateKey.from_private_bytes(b"t" * 32)


class Tampered(NamedTuple):
    files: dict
    """Bytes by path; `link:` and a target for a link, None for a folder."""
    kinds: set
    named: str = ""
    """What must stand in a fault's place or words."""


class Set(NamedTuple):
    """What there is to tamper with."""

    files: dict
    older: dict
    """The case's bundle before, sealed with the true key."""
    other: dict
    """A bundle of another case, sealed with the true key."""


def payload(files):
    return sorted(one for one in files if one.startswith("data/"))


def lines(files):
    return files[LEAVES].splitlines()


def with_lines(files, new):
    return {**files, LEAVES: b"".join(one + b"\n" for one in new)}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def mend(files):
    """Put right what needs no key: the lines of files, the manifests, the count of bytes."""
    new = []
    for line in lines(files):
        one = json.loads(line)
        path = one.get("path")
        if path in files and one["sha256"] != digest(files[path]):
            one = {**one, "sha256": digest(files[path]), "bytes": len(files[path])}
            line = json.dumps(one, separators=(",", ":"), sort_keys=True).encode()  # noqa: PLW2901
        new.append(line)
    return manifests(with_lines(files, new))


def manifests(files):
    shown = [json.loads(one) for one in lines(files)]
    paths = [one["path"] for one in shown if str(one.get("path", "")).startswith("data/")]
    body = "".join(f"{digest(files[one])}  {one}\n" for one in paths if one in files)
    oxum = f"{sum(len(files[one]) for one in paths if one in files)}.{len(paths)}"
    info = [one for one in files.get("bag-info.txt", b"").decode("utf-8", "replace").splitlines()
            if not one.startswith("Payload-Oxum")]  # fmt: skip
    files = {
        **files,
        "manifest-sha256.txt": body.encode(),
        "bag-info.txt": "".join(f"{one}\n" for one in [*info, f"Payload-Oxum: {oxum}"]).encode(),
    }
    tags = sorted(p for p in files if not p.startswith("data/") and p != "tagmanifest-sha256.txt")
    text = "".join(f"{digest(files[one])}  {one}\n" for one in tags)
    return {**files, "tagmanifest-sha256.txt": text.encode()}


def reseal(files, key=THIEF, *, sealed=None, show_key=True):
    """Seal all of it anew with another key."""
    if show_key:
        files = {**files, KEY: public_pem(key.public_key())}
    files = mend(files)
    old = parse_checkpoint(files[NOTE])
    hashes = [
        bytes.fromhex(json.loads(one)["leaf"]) if b'"leaf"' in one else merkle.leaf(one)
        for one in lines(files)
    ]
    note = sealing.sign_checkpoint(
        key, size=len(hashes), root=merkle.root(hashes), case=old.case,
        sealed=sealed or old.sealed, previous=old.previous,
    )  # fmt: skip
    new = {**files, NOTE: note}
    for path in [one for one in files if one.endswith(".dsse.json")]:
        said = json.loads(dsse.opened(files[path])[0])
        counts = {}
        for one in map(json.loads, lines(files)):
            counts[one["producer"]] = counts.get(one["producer"], 0) + 1
        for one in said["predicate"].get("producers", ()):
            one["items"] = counts.get(one["name"], 0)
        new[path] = sealing.sign_statement(key, note, said["predicateType"], said["predicate"])
    return manifests(new)


def flip(rng, given):
    path = rng.choice(sorted(one for one in given.files if given.files[one]))
    data = bytearray(given.files[path])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    kinds = {"file-edited", "bag-file-edited", "leaves-edited", "leaf-unreadable", "key-replaced",
             "checkpoint-unreadable", "checkpoint-forged", "statement-unreadable",
             "statement-forged"}  # fmt: skip
    return Tampered({**given.files, path: bytes(data)}, kinds, path)


def flip_mended(rng, given):
    path = rng.choice(payload(given.files))
    data = bytearray(given.files[path])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return Tampered(mend({**given.files, path: bytes(data)}), {"leaves-edited"}, LEAVES)


def delete(rng, given):
    path = rng.choice(sorted(given.files))
    files = {one: data for one, data in given.files.items() if one != path}
    kinds = {"file-missing", "statement-missing", "checkpoint-unreadable"}
    return Tampered(files, kinds, path)


def delete_mended(rng, given):
    path = rng.choice(payload(given.files))
    kept = [one for one in lines(given.files) if json.loads(one).get("path") != path]
    files = {one: data for one, data in given.files.items() if one != path}
    kinds = {"leaves-edited"}
    return Tampered(manifests(with_lines(files, kept)), kinds, LEAVES)


def insert(rng, given):
    folder = rng.choice(["data/items/", "data/", "", "seal/", "data/case/", "new/"])
    path = f"{folder}{rng.randbytes(4).hex()}.json"
    files = {**given.files, path: rng.randbytes(rng.randrange(50))}
    return Tampered(manifests(files) if rng.random() < 0.5 else files, {"file-inserted"}, path)


def insert_mended(rng, given):
    path = f"data/items/{rng.randbytes(4).hex()}.bin"
    data = rng.randbytes(20)
    leaf = sealing.Leaf(
        number=len(lines(given.files)), producer="artifact", sequence=99, name=path,
        kind="artifact", salt=sealing.salt(), path=path, sha256=digest(data), bytes=len(data),
    )  # fmt: skip
    files = with_lines({**given.files, path: data}, [*lines(given.files), sealing.line(leaf)])
    return Tampered(manifests(files), {"leaves-edited"}, LEAVES)


def swap(rng, given):
    one, two = rng.sample(payload(given.files), 2)
    files = {**given.files, one: given.files[two], two: given.files[one]}
    return Tampered(files, {"file-moved"}, one)


def swap_mended(rng, given):
    one, two = rng.sample(payload(given.files), 2)
    files = {**given.files, one: given.files[two], two: given.files[one]}
    return Tampered(mend(files), {"leaves-edited"}, LEAVES)


def truncate(rng, given):
    path = rng.choice([one for one in payload(given.files) if given.files[one]])
    data = given.files[path]
    return Tampered(
        {**given.files, path: data[: rng.randrange(len(data))]}, {"file-truncated"}, path
    )


def lengthen(rng, given):
    path = rng.choice(payload(given.files))
    files = {**given.files, path: given.files[path] + rng.randbytes(1 + rng.randrange(9))}
    return Tampered(files, {"file-edited"}, path)


def rename(rng, given):
    path = rng.choice(payload(given.files))
    files = {one: data for one, data in given.files.items() if one != path}
    new = f"{path}.{rng.randrange(100)}"
    return Tampered({**files, new: given.files[path]}, {"file-missing"}, new)


def rename_mended(rng, given):
    path = rng.choice(payload(given.files))
    new = f"{path}{rng.randrange(100)}"
    files = {new if one == path else one: data for one, data in given.files.items()}
    again = [one.replace(json.dumps(path).encode(), json.dumps(new).encode())
             for one in lines(given.files)]  # fmt: skip
    return Tampered(manifests(with_lines(files, again)), {"leaves-edited"}, LEAVES)


def reorder(rng, given):
    found = lines(given.files)
    one, two = rng.sample(range(len(found)), 2)
    found[one], found[two] = found[two], found[one]
    return Tampered(
        manifests(with_lines(given.files, found)), {"leaf-misplaced"}, f"line {one + 1}"
    )


def reorder_renumbered(rng, given):
    found = [json.loads(one) for one in lines(given.files)]
    one, two = rng.sample(range(len(found)), 2)
    found[one], found[two] = found[two], found[one]
    new = [json.dumps({**leaf, "number": number}, separators=(",", ":"), sort_keys=True).encode()
           for number, leaf in enumerate(found)]  # fmt: skip
    return Tampered(manifests(with_lines(given.files, new)), {"leaves-edited"}, LEAVES)


def forge_salt(rng, given):
    found = lines(given.files)
    place = rng.choice([n for n, one in enumerate(found) if b'"salt"' in one])
    leaf = {**json.loads(found[place]), "salt": rng.randbytes(16).hex()}
    found[place] = json.dumps(leaf, separators=(",", ":"), sort_keys=True).encode()
    return Tampered(manifests(with_lines(given.files, found)), {"leaves-edited"}, LEAVES)


def withhold(rng, given):
    """Take an item out as its maker might, with no statement."""
    found = lines(given.files)
    place = rng.randrange(len(found))
    leaf = json.loads(found[place])
    if "leaf" in leaf:
        place = 0
        leaf = json.loads(found[place])
    shown = sealing.Withheld(
        number=leaf["number"], producer=leaf["producer"], sequence=leaf["sequence"],
        leaf=merkle.leaf(found[place]).hex(),
    )  # fmt: skip
    found[place] = sealing.line(shown)
    files = {one: data for one, data in given.files.items() if one != leaf.get("path")}
    kinds = {"withheld-unstated"}
    return Tampered(manifests(with_lines(files, found)), kinds, f"item {place}")


def re_sign(rng, given):
    """Change a file and seal everything anew with a key of one's own."""
    path = rng.choice(
        [one for one in payload(given.files) if "/events/" not in one and one != CUSTODY]
    )
    files = reseal({**given.files, path: given.files[path] + b" "})
    return Tampered(files, {"key-replaced"}, dsse.words(THIEF.public_key()))


def re_sign_under_the_old_name(rng, given):
    """The same, with the true key left in its place."""
    path = rng.choice(payload(given.files))
    files = reseal({**given.files, path: given.files[path] + b" "}, show_key=False)
    return Tampered(files, {"checkpoint-forged"}, NOTE)


def roll_back(rng, given):
    return Tampered(dict(given.older), {"rolled-back"}, NOTE)


def roll_back_in_part(rng, given):
    """Put the seal of the bundle before over the files of this one, or the other way round."""
    seal = {
        one for one in given.older if one.startswith(("seal/", "manifest", "tagmanifest", "bag"))
    }
    one, two = (given.files, given.older) if rng.random() < 0.5 else (given.older, given.files)
    files = {**one, **{path: two[path] for path in seal}}
    kinds = {"file-edited", "file-missing", "file-inserted", "file-moved", "file-truncated"}
    return Tampered(files, kinds, "data/")


def back_date(rng, given):
    note = given.files[NOTE]
    when = parse_checkpoint(note).sealed
    earlier = f"{int(when[:4]) - 1 - rng.randrange(20)}{when[4:]}"
    files = manifests({**given.files, NOTE: note.replace(when.encode(), earlier.encode())})
    return Tampered(files, {"checkpoint-forged", "back-dated"}, NOTE)


def back_date_re_signed(rng, given):
    files = reseal(given.files, sealed=f"20{rng.randrange(10, 26)}-01-01T00:00:00.000000Z")
    return Tampered(files, {"back-dated"}, "custody")


def drop_producer(rng, given):
    producers = {json.loads(one)["producer"] for one in lines(given.files)} - {"bag"}
    gone = rng.choice(sorted(producers))
    kept = [json.loads(one) for one in lines(given.files)]
    files = dict(given.files)
    for one in kept:
        if one["producer"] == gone:
            files.pop(one.get("path"), None)
    left = [leaf for leaf in kept if leaf["producer"] != gone]
    new = [json.dumps({**one, "number": number}, separators=(",", ":"), sort_keys=True).encode()
           for number, one in enumerate(left)]  # fmt: skip
    return Tampered(manifests(with_lines(files, new)), {"producer-dropped"}, gone)


def replay_statement(rng, given):
    files = {**given.files, COLLECTED: given.other[COLLECTED]}
    return Tampered(manifests(files), {"statement-replayed"}, COLLECTED)


def replay_checkpoint(rng, given):
    files = {**given.files, NOTE: given.other[NOTE]}
    return Tampered(manifests(files), {"leaves-edited"}, LEAVES)


def edit_statement(rng, given):
    envelope = json.loads(given.files[COLLECTED])
    said = json.loads(base64.b64decode(envelope["payload"]))
    rng.choice(said["predicate"]["producers"])["items"] += 1
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    files = {**given.files, COLLECTED: dsse.to_json(envelope)}
    return Tampered(manifests(files), {"statement-forged"}, COLLECTED)


def drop_statement(rng, given):
    files = {one: data for one, data in given.files.items() if one != COLLECTED}
    return Tampered(manifests(files), {"statement-missing"}, COLLECTED)


def copy_statement(rng, given):
    path = f"seal/{rng.randbytes(3).hex()}.dsse.json"
    files = {**given.files, path: given.files[COLLECTED]}
    return Tampered(manifests(files), {"file-inserted"}, path)


def edit_withheld(rng, given):
    """Change what a withheld item's line says beside its hash."""
    found = lines(given.files)
    places = [n for n, one in enumerate(found) if "leaf" in json.loads(one)]
    place = rng.choice(places)
    leaf = json.loads(found[place])
    change = rng.choice([{"producer": "bag"}, {"note": "x"}, {"sequence": 77}, {"number": 77},
                         {"leaf": rng.randbytes(32).hex()}])  # fmt: skip
    found[place] = json.dumps({**leaf, **change}, separators=(",", ":"), sort_keys=True).encode()
    kinds = {"leaf-misplaced", "leaf-unreadable", "leaves-edited", "withheld-unstated"}
    return Tampered(manifests(with_lines(given.files, found)), kinds, "")


def drop_redaction(rng, given):
    path = "seal/redaction.dsse.json"
    files = {one: data for one, data in given.files.items() if one != path}
    return Tampered(manifests(files), {"statement-missing"}, path)


def edit_custody(rng, given):
    found = given.files[CUSTODY].splitlines()
    place = rng.randrange(len(found) - 1)
    found[place] = found[place].replace(b'"author":"ada"', b'"author":"eve"')
    files = {**given.files, CUSTODY: b"".join(one + b"\n" for one in found)}
    return Tampered(mend(files), {"custody-broken"}, f"line {place + 2}")


def cut_custody(rng, given):
    found = given.files[CUSTODY].splitlines()
    del found[rng.randrange(len(found) - 1)]
    files = {**given.files, CUSTODY: b"".join(one + b"\n" for one in found)}
    return Tampered(reseal(files), {"custody-broken"}, CUSTODY)


def edit_event(rng, given):
    events = [one for one in given.files if "/events/" in one and not one.endswith(".proof.json")]
    path = rng.choice(sorted(events))
    data = given.files[path].replace(b'"principal":"user-', b'"principal":"eve-')
    return Tampered(reseal({**given.files, path: data}), {"event-unproven"}, path[:-5])


def edit_proof(rng, given):
    path = rng.choice(sorted(one for one in given.files if one.endswith(".proof.json")))
    proof = json.loads(given.files[path])
    part = rng.choice(["path", "leaf_path", "row"])
    data = bytearray(base64.b64decode(proof[part]) or bytes(32))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    proof[part] = base64.b64encode(bytes(data)).decode()
    files = reseal({**given.files, path: json.dumps(proof).encode()})
    return Tampered(files, {"event-unproven"}, path)


def edit_bag_info(rng, given):
    info = given.files["bag-info.txt"].replace(b"ada", b"eve")
    files = {**given.files, "bag-info.txt": info}
    return Tampered(manifests(files), {"bag-file-edited"}, "bag-info.txt")


def edit_manifest(rng, given):
    path = "manifest-sha256.txt"
    found = given.files[path].splitlines()
    if rng.random() < 0.5:
        found.pop(rng.randrange(len(found)))
    else:
        rng.shuffle(found)
        found.append(found[0])
    files = {**given.files, path: b"".join(one + b"\n" for one in found)}
    return Tampered(files, {"bag-file-edited"}, path)


def pad_list(rng, given):
    """Change a file, and put so many remarks before its line that faults after them get lost."""
    path = rng.choice(payload(given.files))
    files = {**given.files, path: given.files[path] + b" "}
    count = 1000 + rng.randrange(200)
    padding = [
        {"number": number, "producer": "record", "sequence": number, "name": f"items/{number}",
         "kind": "record", "salt": "0" * 32, "why": "not copied"}
        for number in range(count)
    ]  # fmt: skip
    found = [json.loads(one) for one in lines(mend(files))]
    for place, one in enumerate(found):
        one["number"] = count + place
        one["sequence"] += count if one["producer"] == "record" else 0
    new = [json.dumps(one, separators=(",", ":"), sort_keys=True).encode()
           for one in (*padding, *found)]  # fmt: skip
    return Tampered(manifests(with_lines(files, new)), {"leaves-edited"}, LEAVES)


def pad_folder(rng, given):
    """Put more files beside than faults are kept by name, and change what is signed."""
    files = {**given.files, **{f"data/a/{number}": b"" for number in range(1100)}}
    return Tampered(edit_statement(rng, given._replace(files=files)).files, {"statement-forged"},
                    COLLECTED)  # fmt: skip


def link(rng, given):
    path = rng.choice(payload(given.files))
    return Tampered({**given.files, path: "link:/etc/hostname"}, {"link-inserted"}, path)


def empty_folder(rng, given):
    path = f"data/{rng.randbytes(3).hex()}"
    return Tampered({**given.files, path: None}, {"file-inserted"}, path)


def edit_verifier(rng, given):
    """Make the verifier that lies in the bundle say yes, and put every checksum right."""
    path = "verify_bundle.py"
    files = {**given.files, path: b"print('whole')\n"}
    kinds, named = ({"leaves-edited"}, LEAVES) if rng.random() < 0.5 else ({"file-truncated"}, path)
    return Tampered(mend(files) if kinds == {"leaves-edited"} else files, kinds, named)


WAYS = (
    flip, flip_mended, delete, delete_mended, insert, insert_mended, swap, swap_mended, truncate,
    lengthen, rename, rename_mended, reorder, reorder_renumbered, forge_salt, withhold, re_sign,
    re_sign_under_the_old_name, roll_back, roll_back_in_part, back_date, back_date_re_signed,
    drop_producer, replay_statement, replay_checkpoint, edit_statement, drop_statement,
    copy_statement, edit_withheld, drop_redaction, edit_custody, cut_custody, edit_event,
    edit_proof, edit_bag_info, edit_manifest, pad_list, pad_folder, link, empty_folder,
    edit_verifier,
)  # fmt: skip


def read(folder):
    """Return a bundle's files."""
    return {
        one.relative_to(folder).as_posix(): one.read_bytes()
        for one in folder.rglob("*")
        if one.is_file()
    }


class Stage:
    """A folder in which one bundle after another is put; only what differs is written."""

    def __init__(self, folder):
        self.folder = folder
        self._there = {}

    def put(self, files):
        for path in [one for one in self._there if self._there[one] != files.get(one, b"\0gone")]:
            target = self.folder / path
            target.rmdir() if self._there[path] is None else target.unlink()
            del self._there[path]
            parent = target.parent
            while parent != self.folder and not any(parent.iterdir()):
                parent.rmdir()
                parent = parent.parent
        for path, data in files.items():
            if path in self._there:
                continue
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                target.mkdir()
            elif isinstance(data, str):
                target.symlink_to(data.removeprefix("link:"))
            else:
                target.write_bytes(data)
            self._there[path] = data
        return str(self.folder)
