"""Black-box attacks against their peers at equal evaluations, on the small pair.

    python bench/blackbox_peers.py [--model at] [--attack hopskipjump-l2] [--images 500]
        [--queries 1000] [--repeats 5]

Every library attacks the same images, the ones the model has right, with the same weights, one
thread, and at most `--queries` rows per image. Peers live in .venvs/peers-attacks, made by
attacks_white_box.py; the repairs they need are in REPAIRS and printed. The peers' attacks on
labels, and their SimBA, have no cap of their own: the model stops answering at the cap, and the
nearest adversarial image of all it was asked about until then counts for them. An attack no peer
has stands there alone. Runs take turns; the least CPU time of the repeats counts. `ratio`
is a peer's figure over ours: above 1 is in our favour.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from attacks_white_box import EPS, chosen, set_up
from small_pair import pair

PLAN = {
    "square-linf": ["casemate", "casemate at half", "autoattack", "torchattacks", "ART"],
    "square-l2": ["casemate", "autoattack", "torchattacks", "ART"],
    "hopskipjump-l2": ["casemate", "foolbox", "ART"],
    "hopskipjump-linf": ["casemate", "foolbox", "ART"],
    "boundary-l2": ["casemate", "foolbox", "ART"],
    "geoda-l2": ["casemate", "ART"],
    "sign-opt-l2": ["casemate", "ART"],
    "simba-l2": ["casemate", "ART"],
    "nes-linf": ["casemate"],
    "nes-l2": ["casemate"],
    "rays-linf": ["casemate"],
    "surfree-l2": ["casemate"],
}
RADIUS = {"linf": EPS, "l2": 1.5}
FEW = 100
"""Images for attacks on labels."""
RADIAL = ("square", "simba", "nes")
REPAIRS = {
    "foolbox": "HopSkipJump, Boundary: started, one by one, from the first of test images "
    "1000-1199 that is predicted as another class (its own start fails for the whole batch); "
    "capped by the model",
    "ART": "attacks on labels, and SimBA: inputs cast to float32, one image at a time, capped by "
    "the model, HopSkipJump and Boundary with the same starts; Square: 42 % of the iterations, as "
    "each asks 2.4 questions; SimBA: DCT over 14 frequencies, steps of 0.2, as ours; GeoDA: "
    "numpy.mat put back, which NumPy 2 removed",
}


class Stop(Exception):
    """The cap is reached."""


class Capped(torch.nn.Module):
    """A net that counts rows per image and remembers the nearest adversarial image of each."""

    def __init__(self, net, x, y, cap: int, order: float, *, look: bool) -> None:
        super().__init__()
        self.net, self.x, self.y, self.cap, self.order, self.look = net, x, y, cap, order, look
        self.asked = torch.zeros(len(y), dtype=torch.long)
        self.best = torch.full((len(y),), float("inf"))
        self.one: int | None = None

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        # One image asked about many times, or one question about every image.
        rows = torch.arange(len(self.y)) if self.one is None else torch.tensor([self.one])
        if self.one is None and len(a) != len(rows):
            return self.net(a)
        rows = rows if self.one is None else rows.repeat(len(a))
        room = int(self.cap - self.asked[rows[0]])
        if room <= 0:
            raise Stop
        with torch.no_grad():
            z = self.net(a)
        used = slice(None) if self.one is None else slice(0, room)
        self.asked += torch.bincount(rows[used], minlength=len(self.y))
        if self.look:
            away = torch.linalg.vector_norm(
                (a - self.x[rows]).double().flatten(1), self.order, dim=1
            )
            away[z.argmax(1) == self.y[rows]] = float("inf")
            self.best.scatter_reduce_(0, rows[used], away[used].float(), "amin")
        return z


def ours(attack: str, net, x, y, queries: int):
    from casemate.attack.run import run
    from casemate.catalog import loader
    from casemate.catalog.entries import Attack
    from casemate.records.target import Target
    from casemate.targets.data import Data
    from casemate.targets.settings import Settings
    from casemate.targets.torch import wrap

    name, norm = attack.rsplit("-", 1)
    data = Data(x.numpy(), y.numpy(), 0.0, 1.0, (), Target(kind="dataset", uri="bench"), None)
    model = wrap(
        net, Target(kind="model", uri="bench"), Settings(bounds=(0.0, 1.0), sample=data.x[:8])
    )
    known = loader.entry("attacks", f"evasion-{name}", Attack).params
    params = {"norm": norm} if "norm" in known else {}
    params["steps"] = queries
    if name in RADIAL:
        params["eps"] = RADIUS[norm]
    trial = run(model, data, f"evasion-{name}", params=params, budget=queries, seed=0)
    away = [o.distance if o.success else float("inf") for o in trial.outcomes]
    return away, trial.cost.cpu_s, trial.cost.forward, max(o.queries for o in trial.outcomes)


def peer_square(library: str, norm: str, net, x, y, queries: int):
    eps, rows = RADIUS[norm], [0]

    class Counted(torch.nn.Module):
        def forward(self, a):
            rows[0] += len(a)
            with torch.no_grad():
                return net(a)

    counted = Counted().eval()
    named = {"linf": "Linf", "l2": "L2"}[norm]
    start = time.process_time()
    if library == "autoattack":
        try:
            from pyautoattack.square import SquareAttack
        except ImportError:
            from autoattack.square import SquareAttack
        tool = SquareAttack(
            counted, p_init=0.8, n_queries=queries, eps=eps, norm=named, n_restarts=1, seed=0,
            verbose=False, device="cpu", resc_schedule=False,
        )  # fmt: skip
        adv = tool.perturb(x, y)
    elif library == "torchattacks":
        import torchattacks

        tool = torchattacks.Square(
            counted, norm=named, eps=eps, n_queries=queries, n_restarts=1, p_init=0.8, seed=0
        )
        tool.set_device("cpu")
        adv = tool(x, y)
    else:
        from art.attacks.evasion import SquareAttack as ArtSquare
        from art.estimators.classification import PyTorchClassifier

        model = PyTorchClassifier(
            counted, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1)
        )
        tool = ArtSquare(
            model, norm=np.inf if norm == "linf" else 2, eps=eps, max_iter=round(0.42 * queries),
            p_init=0.8, nb_restarts=1, batch_size=len(x), verbose=False,
        )  # fmt: skip
        adv = torch.tensor(tool.generate(x.numpy(), y=np.eye(10)[y.numpy()]))
    cpu = time.process_time() - start
    with torch.no_grad():
        fooled = net(adv).argmax(1) != y
    moved = (adv - x).double().flatten(1)
    size = moved.abs().amax(1) if norm == "linf" else moved.norm(dim=1)
    away = torch.where(fooled & (size <= eps * (1 + 1e-5)), size, torch.inf)
    return away.tolist(), cpu, rows[0], queries


def peer_capped(library: str, name: str, norm: str, net, x, y, queries: int, look: bool):
    data, _ = pair()
    pool = data.test_x[1000:1200]
    with torch.no_grad():
        said = net(pool).argmax(1)
    starts = torch.stack([pool[(said != label).nonzero()[0, 0]] for label in y])
    capped = Capped(net, x, y, queries, float("inf") if norm == "linf" else 2.0, look=look).eval()
    start = time.process_time()
    if library == "foolbox":
        import foolbox as fb

        model = fb.PyTorchModel(capped, bounds=(0, 1), device="cpu")
        tool = {
            "hopskipjump": lambda: fb.attacks.HopSkipJumpAttack(
                steps=64, constraint=norm, max_gradient_eval_steps=1000
            ),
            "boundary": lambda: fb.attacks.BoundaryAttack(steps=queries),
        }[name]()
        with contextlib.suppress(Stop):
            tool.run(model, x, fb.criteria.Misclassification(y), starting_points=starts)
    else:
        from art.attacks.evasion import BoundaryAttack, GeoDA, HopSkipJump, SignOPTAttack, SimBA
        from art.estimators.classification import BlackBoxClassifier, PyTorchClassifier

        def predict(a):
            z = capped(torch.as_tensor(np.asarray(a, np.float32)))
            return np.eye(10, dtype=np.float32)[z.argmax(1).numpy()]

        model = BlackBoxClassifier(predict, (1, 28, 28), 10, clip_values=(0, 1))
        if name in ("geoda", "simba"):  # these want a network, and ask it no gradient
            model = PyTorchClassifier(
                torch.nn.Sequential(capped, torch.nn.Softmax(1)), torch.nn.CrossEntropyLoss(),
                (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu",
            )  # fmt: skip
        np.mat = np.asmatrix  # noqa: NPY201 - ART 1.20.1 asks for it
        order, quiet = 2 if norm == "l2" else np.inf, {"verbose": False}
        for i in range(len(y)):
            capped.one = i
            tool = {
                "hopskipjump": lambda: HopSkipJump(
                    model, batch_size=256, norm=order, max_iter=64, max_eval=1000, init_eval=100,
                    **quiet,
                ),
                "boundary": lambda: BoundaryAttack(
                    model, targeted=False, max_iter=queries, **quiet
                ),
                "geoda": lambda: GeoDA(model, norm=order, max_iter=queries, **quiet),
                "sign-opt": lambda: SignOPTAttack(
                    model, targeted=False, query_limit=queries, k=100, **quiet
                ),
                "simba": lambda: SimBA(
                    model, attack="dct", epsilon=0.2, max_iter=queries, freq_dim=14, **quiet
                ),
            }[name]()  # fmt: skip
            label = np.eye(10)[y[i : i + 1].numpy()]
            given = starts[i : i + 1].numpy()
            more = {"x_adv_init": given} if name in ("hopskipjump", "boundary") else {}
            with contextlib.suppress(Stop):
                tool.generate(x[i : i + 1].numpy(), y=label, **more)
    cpu = time.process_time() - start
    best = capped.best.tolist()
    if name in RADIAL:
        best = [away if away <= RADIUS[norm] else float("inf") for away in best]
    return best, cpu, int(capped.asked.sum()), int(capped.asked.max())


def serve() -> None:
    """Answer requests, one JSON object per line."""
    torch.set_num_threads(1)
    answer, sys.stdout = sys.stdout, sys.stderr  # libraries print
    data, nets = pair()
    for line in sys.stdin:
        ask = json.loads(line)
        net = nets[ask["model"]].eval()
        x, y = chosen(data, net, ask["images"])
        name, norm = ask["attack"].rsplit("-", 1)
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - ART draws from the global generator
        try:
            if ask["library"].startswith("casemate"):
                half = ask["library"].endswith("half")
                queries = ask["queries"] // 2 if half else ask["queries"]
                got = ours(ask["attack"], net, x, y, queries)
            elif name == "square":
                got = peer_square(ask["library"], norm, net, x, y, ask["queries"])
            else:
                got = peer_capped(
                    ask["library"], name, norm, net, x, y, ask["queries"], ask["look"]
                )
            said = dict(zip(("away", "cpu", "rows", "most"), got, strict=True))
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(said), file=answer, flush=True)


class Worker:
    def __init__(self, python: str | Path) -> None:
        self.process = subprocess.Popen(
            [str(python), __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, stderr=subprocess.DEVNULL, cwd=Path(__file__).parent,
        )  # fmt: skip

    def ask(self, **what: object) -> dict:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def figure(attack: str, away: list[float]) -> tuple[float, str]:
    got = np.array(away)
    lost = int(np.isinf(got).sum())
    if attack.startswith(RADIAL):
        return lost, f"{lost} of {len(got)} hold"
    median = float(np.quantile(got, 0.5, method="lower"))
    return median, f"median {median:.4f} mean {got[np.isfinite(got)].mean():.4f} failed {lost}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", choices=["std", "at"], action="append")
    parser.add_argument("--attack", choices=list(PLAN), action="append")
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    peers, own = Worker(set_up()), Worker(sys.executable)
    for library, repair in REPAIRS.items():
        print(f"repair {library}: {repair}")
    for model in args.model or ["at", "std"]:
        for attack in args.attack or list(PLAN):
            images = args.images if attack.startswith("square") else min(FEW, args.images)
            said: dict[str, dict] = {}
            least: dict[str, float] = {}
            for repeat in range(args.repeats + 1):
                for library in PLAN[attack]:
                    if "error" in said.get(library, {}):
                        continue
                    worker = own if library.startswith("casemate") else peers
                    got = worker.ask(
                        attack=attack, library=library, model=model, images=images,
                        queries=args.queries, look=repeat == 0,
                    )  # fmt: skip
                    if repeat == 0:
                        said[library] = got
                    if repeat or not args.repeats:
                        least[library] = min(least.get(library, 1e9), got.get("cpu", 1e9))
            print(f"\n{model} {attack}: {images} images, {args.queries} queries each")
            mine = figure(attack, said["casemate"]["away"])[0] if "away" in said["casemate"] else 1
            for library in PLAN[attack]:
                got = said[library]
                if "error" in got:
                    print(f"  {library:17s} {got['error']}")
                    continue
                value, text = figure(attack, got["away"])
                n = len(got["away"])
                print(
                    f"  {library:17s} {text:42s} rows {got['rows'] / n:7.1f} most {got['most']:5d} "
                    f"CPU {least[library]:7.2f} s  ratio {value / max(mine, 1e-9):5.3f} "
                    f"CPU ratio {least[library] / least['casemate']:5.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
