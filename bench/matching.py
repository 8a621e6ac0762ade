# ruff: noqa: E501
"""How sure the matching of content may be, and how much of a lineage it brings back.

Tables: real data sets of scikit-learn and what people make of them (samples, appended rows, scaled
and dropped columns, cells changed), against halves of the same population and other data. Weights:
small networks trained on real digits and what is made of them (fine-tuned, pruned, rounded, new
heads, low-rank updates, averages), against networks of other seeds, and of the same seed on other
data. Answers: of the same networks.

    python bench/matching.py            figures on seeds that were not fitted to
    python bench/matching.py --fit      fit the figures in matching.py, on other seeds

Confidence is fitted on seeds 0 to 2 and reported on seed 100 and on: the share of pairs that were
right by how sure the matcher was. The last part deletes a fifth of a fleet's recorded steps and
asks which nodes lie within the radius of each data set.
"""

from __future__ import annotations

import argparse
import copy
import csv
import random
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from casemate.lineage import likeness, matching
from casemate.lineage.columns import marks_of
from casemate.lineage.likeness import Answers
from casemate.lineage.matching import Content, propose
from casemate.lineage.tensors import Tensor
from casemate.records.edge import Edge, Node


def data_sets(seed):
    """Return two disjoint halves of each of scikit-learn's tables: {name: (rows, columns)}."""
    from sklearn import datasets

    found = {}
    loaders = ("breast_cancer", "wine", "iris", "diabetes", "digits")
    rng = np.random.default_rng(seed)
    for name in loaders:
        bunch = getattr(datasets, f"load_{name}")()
        table = np.column_stack([bunch.data, bunch.target])
        table = table[rng.permutation(len(table))]
        half = len(table) // 2
        found[f"{name} a"], found[f"{name} b"] = table[:half], table[half:]
    for name in ("yes-no a", "yes-no b"):  # few kinds of rows: equal ones mean nothing
        found[name] = rng.integers(0, 2, (300, 4)).astype(float)
    return found


def worked_over(table, rng):
    """Return what people make of a table: {how: table}."""
    columns = table.shape[1]
    some = rng.random(len(table)) < 0.4
    noisy, flipped = table.copy(), table.copy()
    noisy[:, 0] += rng.normal(0, 0.01, len(table))
    picked = rng.random(len(table)) < 0.1
    flipped[picked, -1] = 1 - flipped[picked, -1]
    scaled = (table - table.mean(0)) / (table.std(0) + 1e-9)
    scaled[:, -1] = table[:, -1]
    return {
        "sampled": table[some],
        "shuffled": table[rng.permutation(len(table))],
        "scaled": scaled,
        "scaled sample": scaled[some],
        "columns dropped": table[:, rng.permutation(columns - 1)[: max(2, columns // 2)]],
        "a column changed": noisy,
        "labels turned": flipped,
        "logarithms": np.column_stack([np.log1p(np.abs(table[:, :-1])), table[:, -1]]),
    }


def write(path, table):
    names = [f"c{n}" for n in range(table.shape[1] - 1)] + ["label"]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(names)
        out.writerows(table.tolist())
    return path


def table_pairs(folder, seed):
    """Yield (likeness, made from it?, what)."""
    rng = np.random.default_rng(seed)
    marks, origin = {}, {}
    for name, table in data_sets(seed).items():
        versions = {"": table}
        if not name.startswith("yes-no"):
            versions |= worked_over(table, rng)
        for how, body in versions.items():
            path = write(folder / f"{name}-{how}-{seed}.csv", body)
            marks[name, how], origin[name, how] = marks_of(path), name
    keys = sorted(marks)
    for place, one in enumerate(keys):
        for other in keys[place + 1 :]:
            if origin[one] == origin[other] and one[1] and other[1]:
                continue  # two of one origin: neither was made from the other
            true = origin[one] == origin[other]
            what = (one[1] or other[1]) if true else (
                "halves" if one[0][:-1] == other[0][:-1] else "other"
            )  # fmt: skip
            yield likeness.tables(marks[one], marks[other]), true, what


def train(x, y, seed, *, start=None, epochs=12, rate=5e-3, wide=48):
    import torch

    torch.manual_seed(seed)
    net = copy.deepcopy(start) if start is not None else torch.nn.Sequential(
        torch.nn.Linear(64, wide), torch.nn.ReLU(), torch.nn.Linear(wide, 32), torch.nn.ReLU(),
        torch.nn.Linear(32, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), rate)
    x, y = torch.tensor(x), torch.tensor(y)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimiser.step()
    return net


def digits(seed):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.data))
    x, y = (bunch.data[order] / 16).astype("f4"), bunch.target[order]
    return (x[:600], y[:600]), (x[600:1200], y[600:1200]), x[1200:]


def zoo(seed):
    """Return networks and what each was made from: [(name, net, parents)]."""
    import torch

    (xa, ya), (xb, yb), probe = digits(seed)
    rng = np.random.default_rng(seed)
    found = []
    for number in range(3):
        own = 1000 * seed + number
        base = train(xa, ya, own)
        name = f"base {number}"
        found.append((name, base, ()))
        found.append((f"twin {number}", train(xb, yb, own), ()))  # same start, other data
        few, many = train(xb, yb, own + 500, start=base, epochs=2), None
        many = train(xb, yb, own + 501, start=base, epochs=15, rate=3e-3)
        found += [
            (f"tuned a little {number}", few, (name,)),
            (f"tuned long {number}", many, (name,)),
        ]
        head = copy.deepcopy(base)
        torch.manual_seed(own + 7)
        head[4] = torch.nn.Linear(32, 10)
        for layer in (head[0], head[2]):
            layer.requires_grad_(requires_grad=False)
        found.append((f"new head {number}", train(xb, 9 - yb, own + 502, start=head), (name,)))
        pruned, rounded, low = (copy.deepcopy(base) for _ in range(3))
        with torch.no_grad():
            for one in pruned.parameters():
                one.mul_(one.abs() > one.abs().flatten().median())
            for one in rounded.parameters():
                one.copy_(one.half().float())
            for one in low.parameters():
                if one.dim() == 2:
                    a, b = (
                        rng.normal(0, 0.1, (one.shape[0], 2)),
                        rng.normal(0, 0.3, (2, one.shape[1])),
                    )
                    one.add_(torch.tensor(a @ b, dtype=torch.float32))
        found += [(f"pruned {number}", pruned, (name,)), (f"rounded {number}", rounded, (name,)),
                  (f"low rank {number}", low, (name,))]  # fmt: skip
        merged = copy.deepcopy(base)
        with torch.no_grad():
            for one, other in zip(merged.parameters(), few.parameters(), strict=True):
                one.copy_((one + other) / 2)
        found.append((f"average {number}", merged, (name, f"tuned a little {number}")))
    return found, probe


def sketched(net):
    return likeness.sketch(
        Tensor(name, value.detach().numpy()) for name, value in net.state_dict().items()
    )


def answered(net, probe):
    import torch

    with torch.no_grad():
        scores = torch.softmax(net(torch.tensor(probe)), 1).numpy()
    return Answers("digits", scores)


def net_pairs(seed):
    """Yield (likeness of weights, of answers, made from it?, what)."""
    nets, probe = zoo(seed)
    roots = {name: name.rpartition(" ")[2] for name, _, parents in nets if parents}
    sketches = {name: sketched(net) for name, net, _ in nets}
    given = {name: answered(net, probe) for name, net, _ in nets}
    parents = {name: set(own) for name, _, own in nets}
    labels = np.stack([one.scores.argmax(1) for one in given.values()])
    common = np.array([np.bincount(column).argmax() for column in labels.T])
    names = [name for name, _, _ in nets]
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            true = one in parents[other] or other in parents[one]
            if not true and one in roots and other in roots and roots[one] == roots[other]:
                continue  # two of one origin
            what = other.rpartition(" ")[0] if true else (
                "same start" if {one.split()[0], other.split()[0]} == {"base", "twin"}
                and one[-1] == other[-1] else "other"
            )  # fmt: skip
            alike = likeness.answers(given[one], given[other], common)
            yield likeness.weights(sketches[one], sketches[other]), alike, true, what


def fit(figures, truths):
    """Return weights of a logistic regression, classes taken as they come."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=5000).fit(np.array(figures), np.array(truths))
    return tuple(round(float(one), 2) for one in (model.intercept_[0], *model.coef_[0]))


def report(title, sure, truths, whats, floor=matching.FLOOR):
    sure, truths = np.array(sure), np.array(truths)
    print(f"\n{title}: {truths.sum()} of {len(truths)} pairs are of one descent")
    print("  confidence      pairs   right")
    off = 0.0
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        inside = (sure >= low) & (sure < high)
        if inside.any():
            right, mean = truths[inside].mean(), sure[inside].mean()
            off += inside.sum() * abs(right - mean)
            print(
                f"  {low:.2f} to {min(high, 1):.2f}   {inside.sum():6}   {right:.3f} (said {mean:.3f})"
            )
    chosen = sure >= floor
    tp = (chosen & truths).sum()
    print(f"  calibration error {off / len(sure):.3f}; at {floor}: "
          f"precision {tp / max(chosen.sum(), 1):.3f}, recall {tp / truths.sum():.3f}")  # fmt: skip
    missed = {w for w, t, c in zip(whats, truths, chosen, strict=True) if t and not c}
    wrong = {w for w, t, c in zip(whats, truths, chosen, strict=True) if c and not t}
    print(
        f"  missed: {', '.join(sorted(missed)) or 'none'}; wrong: {', '.join(sorted(wrong)) or 'none'}"
    )


def fleet(folder, seed):
    """Return contents, recorded edges and starts of a small company's models.

    Each data set is worked over once or twice; each table trains a network, some are tuned on.
    Registered versions have their model's digest, deployments give its answers.
    """
    rng = np.random.default_rng(seed)
    contents, edges, starts = [], [], []
    clock = iter(range(1, 10_000_000, 1000))
    (xa, ya), (xb, yb), probe = digits(seed)
    x, y = np.concatenate([xa, xb]), np.concatenate([ya, yb])

    def add(ident, kind, **content):
        digest = content.pop("digest", None)
        node = Node(id=ident, kind=kind, name=ident, at=next(clock), digest=digest)
        contents.append(Content(node, **content))
        return ident

    def step(source, target, relation):
        edges.append(Edge(source=source, target=target, relation=relation, by="bench"))

    nets = []
    for number in range(6):
        own = 10_000 + 100 * seed + number
        picked = np.arange(200 * number, 200 * (number + 1))  # no rows in common
        table = np.column_stack([x[picked], y[picked]]).astype(float)
        raw = add(f"{number}/raw", "dataset", marks=marks_of(write(folder / f"{own}.csv", table)))
        starts.append(raw)
        made = worked_over(table, rng)
        last = raw
        for how in rng.permutation(sorted(made))[:2]:
            path = write(folder / f"{own}-{how}.csv", made[how])
            clean = add(f"{number}/{how}", "dataset", marks=marks_of(path))
            step(raw, clean, "derived-from")
            last = clean
        run = add(f"{number}/run", "run")
        step(last, run, "read-by")
        net = train(x[picked], y[picked], own, epochs=8)
        chain = [(f"{number}/model", net, None)]
        tuned = train(xb, yb, own + 50, start=net, epochs=3)
        chain.append((f"{number}/tuned", tuned, chain[0][0]))
        again = train(xa, ya, own + 60, start=tuned, epochs=3)
        chain.append((f"{number}/tuned again", again, chain[1][0]))
        for ident, body, parent in chain:
            nets.append((ident, body))
            digest = f"sha256:{random.Random(ident + str(seed)).randbytes(32).hex()}"
            add(ident, "model", sketch=sketched(body), answers=answered(body, probe), digest=digest)
            step(parent or run, ident, "derived-from" if parent else "made")
            version = add(f"{ident} v1", "version", digest=digest)
            step(ident, version, "registered-as")
            place = add(f"{ident} live", "deployment", answers=answered(body, probe))
            step(version, place, "deployed-as")
    return contents, edges, starts


def reach(edges, starts):
    beyond = {}
    for edge in edges:
        beyond.setdefault(edge.source, []).append(edge.target)
        if edge.relation == "same-as":
            beyond.setdefault(edge.target, []).append(edge.source)
    found = set()
    for start in starts:
        seen, waiting = {start}, [start]
        while waiting:
            for target in beyond.get(waiting.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        found |= {(start, one) for one in seen - {start}}
    return found


def equal_digests(contents):
    """Return what the book of lineage adds by itself."""
    known = {}
    for one in contents:
        if one.node.digest is not None:
            known.setdefault(one.node.digest, []).append(one.node.id)
    return [
        Edge(source=ids[0], target=other, relation="same-as", by="equal digests")
        for ids in known.values() for other in ids[1:]
    ]  # fmt: skip


def removed(folder, seed, share, only):
    contents, edges, starts = fleet(folder, seed)
    rng = random.Random(seed)
    lost = {
        number
        for number, edge in enumerate(edges)
        if edge.relation in only and rng.random() < share
    }
    kept = [edge for number, edge in enumerate(edges) if number not in lost] + equal_digests(
        contents
    )
    truth = reach(edges + equal_digests(contents), starts)
    proposed = propose(contents)
    return truth, reach(kept, starts), reach(kept + proposed, starts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    seeds = range(args.seeds) if args.fit else range(100, 100 + args.seeds)
    began, wall = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tables = [pair for seed in seeds for pair in table_pairs(folder, seed)]
        nets = [pair for seed in seeds for pair in net_pairs(seed)]
        nets_t, nets_w = [true for *_, true, _ in nets], [what for *_, what in nets]
        if args.fit:
            print(
                "TABLES =",
                fit([matching.table_figures(f) for f, _, _ in tables], [t for _, t, _ in tables]),
            )
            print("WEIGHTS =", fit([matching.weight_figures(f) for f, *_ in nets], nets_t))
            print(
                "ANSWERS =", fit([matching.answer_figures(a[0], a[1]) for _, a, *_ in nets], nets_t)
            )
            return
        report("tables", [matching.table_confidence(f) for f, _, _ in tables],
               [t for _, t, _ in tables], [w for _, _, w in tables])  # fmt: skip
        report("weights", [matching.weight_confidence(f) for f, *_ in nets], nets_t, nets_w)
        report(
            "answers", [matching.answer_confidence(a[0], a[1]) for _, a, *_ in nets], nets_t, nets_w,
            matching.SUREST_ANSWERS,
        )  # fmt: skip
        every = ("derived-from", "read-by", "made", "registered-as", "deployed-as")
        for title, only in (
            ("any step", every),
            (
                "steps that leave content on both sides",
                ("derived-from", "registered-as", "deployed-as"),
            ),
        ):
            truth, without, found = set(), set(), set()
            for seed in seeds:
                for kind, pairs in zip(
                    (truth, without, found), removed(folder, seed, 0.2, only), strict=True
                ):
                    kind |= {(seed, *pair) for pair in pairs}
            right = len(found & truth)
            print(f"\na fifth of the steps deleted ({title}): of {len(truth)} nodes within radii")
            print(f"  recorded alone: recall {len(without & truth) / len(truth):.3f}; with proposals: "
                  f"recall {right / len(truth):.3f}, precision {right / len(found):.3f}")  # fmt: skip
    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime - began
    print(f"\n{spent:.0f} CPU s, {time.monotonic() - wall:.0f} s")


if __name__ == "__main__":
    main()
