"""White-box attacks against their peers: strength, evaluations and CPU, on the small pair.

    python bench/attacks_white_box.py [--model at] [--attack pgd] [--images 500] [--repeats 5]

Every library attacks the same images, the ones the model has right, with the same weights, one
thread and one batch. Peers live in .venvs/peers-attacks, which this script makes; repairs they need
are in REPAIRS and printed. The libraries take turns; the least CPU time of the repeats counts.
Evaluations are rows passed forward and backward, counted in a run of their own. `overhead` is CPU
over the bare cost of those evaluations, so it compares libraries at equal evaluations; `ratio` is a
peer's overhead over ours. Success and distance are measured here, for all alike.

PGD and APGD appear twice: with fooled rows kept to the end, as the peers do (equal evaluations),
and as shipped, where a fooled row leaves at once.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import io
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from small_pair import ROOT, pair

PEERS = ROOT / ".venvs" / "peers-attacks"
PINS = [
    "torch", "numpy", "scipy", "scikit-learn", "setuptools", "packaging", "tqdm",
    "adversarial-robustness-toolbox==1.20.1", "foolbox==3.3.4", "pyautoattack==0.2.0",
]  # fmt: skip
BARE = ["torchattacks==3.5.1", "adv-lib==0.2.8"]
REPAIRS = {
    "torchattacks": "installed without its dependencies: it pins requests 2.25.1",
    "adv-lib": "installed without its dependencies: visdom does not build; empty stand-ins for "
    "visdom and torchvision",
    "ART": "batch size 500 instead of its default 32",
}
EPS, PGD_STEP = 0.1, 2.5 * 0.1 / 40
PLAN = {
    "pgd": ["casemate kept", "casemate", "torchattacks", "foolbox", "ART", "adv-lib"],
    "apgd-ce": ["casemate kept", "casemate", "autoattack", "torchattacks", "ART", "adv-lib"],
    "apgd-t": ["casemate", "autoattack", "adv-lib"],
    "fmn-linf": ["casemate", "foolbox", "adv-lib"],
    "fmn-l2": ["casemate", "foolbox", "adv-lib"],
    "fmn-l1": ["casemate", "foolbox", "adv-lib"],
    "fmn-l0": ["casemate", "foolbox", "adv-lib"],
    "cw": ["casemate", "foolbox", "adv-lib"],
    "deepfool": ["casemate", "foolbox", "adv-lib", "ART", "torchattacks"],
}
FEW = {"fmn-l2", "fmn-l1", "fmn-l0", "cw", "deepfool"}
NORM = {
    "fmn-linf": "linf",
    "fmn-l2": "l2",
    "fmn-l1": "l1",
    "fmn-l0": "l0",
    "cw": "l2",
    "deepfool": "l2",
}


# --- the workers ---


class Counted(torch.nn.Module):
    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net, self.forward_rows, self.backward_rows = net, 0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.forward_rows += len(x)
        z = self.net(x)
        if z.requires_grad:
            z.register_hook(self._count)
        return z

    def _count(self, grad: torch.Tensor) -> None:
        self.backward_rows += len(grad)


def ours(attack: str, net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, kept: bool):
    from casemate.attack.run import run
    from casemate.records.target import Target
    from casemate.targets.data import Data
    from casemate.targets.settings import Settings
    from casemate.targets.torch import wrap

    xs, ys = x.numpy(), y.numpy()
    data = Data(xs, ys, 0.0, 1.0, (), Target(kind="dataset", uri="bench"), None)
    model = wrap(net, Target(kind="model", uri="bench"), Settings(bounds=(0.0, 1.0), sample=xs[:8]))
    name, params = {
        "pgd": ("evasion-pgd", {"eps": EPS, "steps": 40, "step_size": 2.5}),
        "apgd-ce": ("evasion-apgd-ce", {"eps": EPS, "steps": 100}),
        "apgd-t": ("evasion-apgd-t", {"eps": EPS, "steps": 100}),
        "fmn-linf": ("evasion-fmn", {"norm": "linf", "steps": 100}),
        "fmn-l2": ("evasion-fmn", {"norm": "l2", "steps": 200}),
        "fmn-l1": ("evasion-fmn", {"norm": "l1", "steps": 200}),
        "fmn-l0": ("evasion-fmn", {"norm": "l0", "steps": 200}),
        "cw": ("evasion-carlini-wagner", {"steps": 200, "searches": 5}),
        "deepfool": ("evasion-deepfool", {"steps": 50}),
    }[attack]
    blobs: list[bytes] = []

    def keep(blob: bytes) -> str:
        blobs.append(blob)
        return "sha256:" + "0" * 64

    extra = {"drop": False} if kept else {}
    trial = run(model, data, name, params=params, keep=keep, seed=0, **extra)
    adv = xs.copy()
    for blob in blobs:
        held = np.load(io.BytesIO(blob))
        adv[held["index"]] = held["adv"]
    return torch.tensor(adv), trial.cost.cpu_s, (trial.cost.forward, trial.cost.backward)


def peer(attack: str, library: str, net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor):
    """Return a call without arguments that gives the adversarial images; set-up is not timed."""
    inf = float("inf")
    if library == "foolbox":
        import foolbox as fb

        model = fb.PyTorchModel(net, bounds=(0, 1))
        tool, eps = {
            "pgd": lambda: (fb.attacks.LinfPGD(rel_stepsize=2.5 / 40, steps=40), EPS),
            "fmn-linf": lambda: (fb.attacks.LInfFMNAttack(steps=100), None),
            "fmn-l2": lambda: (fb.attacks.L2FMNAttack(steps=200), None),
            "fmn-l1": lambda: (fb.attacks.L1FMNAttack(steps=200), None),
            "fmn-l0": lambda: (fb.attacks.L0FMNAttack(steps=200), None),
            "cw": lambda: (fb.attacks.L2CarliniWagnerAttack(
                binary_search_steps=5, steps=200, stepsize=0.01, initial_const=1,
                abort_early=False), None),
            "deepfool": lambda: (fb.attacks.L2DeepFoolAttack(steps=50, candidates=10), None),
        }[attack]()  # fmt: skip
        return lambda: tool(model, x, y, epsilons=eps)[1]
    if library == "torchattacks":
        import torchattacks as ta

        tool = {
            "pgd": lambda: ta.PGD(net, eps=EPS, alpha=PGD_STEP, steps=40),
            "apgd-ce": lambda: ta.APGD(
                net, norm="Linf", eps=EPS, steps=100, n_restarts=1, loss="ce"
            ),
            "deepfool": lambda: ta.DeepFool(net, steps=50, overshoot=0.02),
        }[attack]()
        return lambda: tool(x, y)
    if library == "autoattack":
        from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

        kind = APGDAttack if attack == "apgd-ce" else APGDAttack_targeted
        tool = kind(net, n_iter=100, norm="Linf", n_restarts=1, eps=EPS, seed=0, device="cpu")
        return lambda: tool.perturb(x, y)
    if library == "adv-lib":
        for name in ("torchvision", "torchvision.models", "visdom"):
            stand_in = types.ModuleType(name)
            stand_in.__spec__ = importlib.machinery.ModuleSpec(name, None)
            stand_in.__path__ = []
            sys.modules.setdefault(name, stand_in)
        sys.modules["visdom"].Visdom = object
        sys.modules["torchvision"].models = sys.modules["torchvision.models"]
        from adv_lib import attacks as al

        return {
            "pgd": lambda: al.pgd_linf(net, x, y, EPS, steps=40, absolute_step_size=PGD_STEP),
            "apgd-ce": lambda: al.apgd(net, x, y, EPS, inf, n_iter=100, loss_function="ce"),
            "apgd-t": lambda: al.apgd_targeted(net, x, y, EPS, inf, n_iter=100),
            "fmn-linf": lambda: al.fmn(net, x, y, inf, steps=100),
            "fmn-l2": lambda: al.fmn(net, x, y, 2, steps=200),
            "fmn-l1": lambda: al.fmn(net, x, y, 1, steps=200),
            "fmn-l0": lambda: al.fmn(net, x, y, 0, steps=200),
            "cw": lambda: al.carlini_wagner_l2(
                net, x, y, learning_rate=0.01, initial_const=1, binary_search_steps=5,
                max_iterations=200, abort_early=False),
            "deepfool": lambda: al.df(net, x, y, steps=50, overshoot=0.02, norm=2),
        }[attack]  # fmt: skip
    from art.attacks import evasion as ev
    from art.estimators.classification import PyTorchClassifier

    model = PyTorchClassifier(
        net, loss=torch.nn.CrossEntropyLoss(), input_shape=(1, 28, 28), nb_classes=10,
        clip_values=(0, 1), device_type="cpu",
    )  # fmt: skip
    tool = {
        "pgd": lambda: ev.ProjectedGradientDescent(
            model, norm=np.inf, eps=EPS, eps_step=PGD_STEP, max_iter=40, num_random_init=1,
            batch_size=500, verbose=False),
        "apgd-ce": lambda: ev.AutoProjectedGradientDescent(
            model, norm=np.inf, eps=EPS, eps_step=2 * EPS, max_iter=100, nb_random_init=1,
            batch_size=500, loss_type="cross_entropy", verbose=False),
        "deepfool": lambda: ev.DeepFool(
            model, max_iter=50, epsilon=0.02, nb_grads=10, batch_size=500, verbose=False),
    }[attack]()  # fmt: skip
    return lambda: torch.tensor(tool.generate(x.numpy(), y.numpy()))


def serve(images: int) -> None:
    """Answer requests, one JSON object per line: attack, library, model, counted, path."""
    torch.set_num_threads(1)
    answer, sys.stdout = sys.stdout, sys.stderr  # libraries print
    data, nets = pair()
    for line in sys.stdin:
        ask = json.loads(line)
        net: torch.nn.Module = nets[ask["model"]]
        x, y = chosen(data, net, 100 if ask["attack"] in FEW else images)
        counted = Counted(net)
        used = counted if ask["counted"] else net
        torch.manual_seed(0)
        try:
            if ask["library"].startswith("casemate"):
                adv, cpu, rows = ours(ask["attack"], net, x, y, ask["library"].endswith("kept"))
                counted.forward_rows, counted.backward_rows = rows
            else:
                call = peer(ask["attack"], ask["library"], used, x, y)
                start = time.process_time()
                adv = call()
                cpu = time.process_time() - start
            np.save(ask["path"], adv.detach().numpy())
            said = {"cpu": cpu, "forward": counted.forward_rows, "backward": counted.backward_rows}
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(said), file=answer, flush=True)


def chosen(data, net: torch.nn.Module, images: int):
    x, y = data.test_x[:images], data.test_y[:images]
    with torch.no_grad():
        right = net(x).argmax(1) == y
    return x[right], y[right]


# --- the referee ---


def set_up() -> Path:
    python = PEERS / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt"]
    if not (PEERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([*pip, *PINS], check=True)
        subprocess.run([*pip, "--no-deps", *BARE], check=True)
        (PEERS / "ready").touch()
    return python


class Worker:
    def __init__(self, python: str | Path, images: int) -> None:
        command = [str(python), __file__, "--serve", "--images", str(images)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, cwd=Path(__file__).parent,
        )  # fmt: skip

    def ask(self, **what: object) -> dict:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def bare(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Return CPU seconds per row of a forward pass and of a backward pass."""

    def forward() -> None:
        with torch.no_grad():
            net(x)

    def both() -> None:
        z = x.detach().requires_grad_()
        torch.autograd.grad(torch.nn.functional.cross_entropy(net(z), y, reduction="sum"), z)

    least = []
    for call in (forward, both):
        times = []
        for _ in range(12):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        least.append(min(times[2:]) / len(x))
    return least[0], least[1] - least[0]


def describe(
    net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, adv: torch.Tensor, attack: str
):
    with torch.no_grad():
        fooled = net(adv).argmax(1) != y
    inside = ((adv >= 0) & (adv <= 1)).flatten(1).all(1)
    moved = (adv.double() - x.double()).flatten(1)
    if attack not in NORM:
        inside &= moved.abs().amax(1) <= EPS + 1e-6
        held = int((~(fooled & inside)).sum())
        return held, f"{held} of {len(x)} hold"
    order = {"linf": float("inf"), "l2": 2, "l1": 1, "l0": 0}[NORM[attack]]
    away = torch.linalg.vector_norm(moved, order, dim=1)
    away[~(fooled & inside)] = float("inf")
    found = away[away.isfinite()]
    median = float(away.quantile(0.5, interpolation="lower"))
    text = (
        f"median {median:.4f} mean {float(found.mean()):.4f} failed {int((~away.isfinite()).sum())}"
    )
    return median, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", choices=["std", "at"], action="append")
    parser.add_argument("--attack", choices=list(PLAN), action="append")
    args = parser.parse_args()
    if args.serve:
        serve(args.images)
        return
    torch.set_num_threads(1)
    data, nets = pair()
    peers, own = Worker(set_up(), args.images), Worker(sys.executable, args.images)
    path = str(ROOT / ".venvs" / "small-pair" / "adv.npy")
    for library, repair in REPAIRS.items():
        print(f"repair {library}: {repair}")
    for model in args.model or ["at", "std"]:
        net = nets[model]
        for attack in args.attack or list(PLAN):
            x, y = chosen(data, net, 100 if attack in FEW else args.images)
            said: dict[str, dict] = {}
            best: dict[str, float] = {}
            unit: list[tuple[float, float]] = []
            for repeat in range(args.repeats + 1):
                unit.append(bare(net, x, y))
                for library in PLAN[attack]:
                    if "error" in said.get(library, {}):
                        continue
                    worker = own if library.startswith("casemate") else peers
                    got = worker.ask(
                        attack=attack, library=library, model=model, counted=repeat == 0, path=path
                    )
                    if repeat == 0:
                        said[library] = got
                        if "error" not in got:
                            adv = torch.tensor(np.load(path))
                            got["figure"], got["text"] = describe(net, x, y, adv, attack)
                    elif "error" not in got:
                        best[library] = min(best.get(library, 1e9), got["cpu"])
            f, b = (min(u[i] for u in unit) for i in (0, 1))
            print(
                f"\n{model} {attack}: {len(x)} images, "
                f"bare {f * 1e6:.1f} + {b * 1e6:.1f} us per row"
            )
            mine = None
            for library in PLAN[attack]:
                got = said[library]
                if "error" in got:
                    print(f"  {library:14s} {got['error']}")
                    continue
                rows = got["forward"] / len(x), got["backward"] / len(x)
                over = best[library] / (got["forward"] * f + got["backward"] * b)
                mine = over if mine is None else mine
                print(
                    f"  {library:14s} {got['text']:44s} "
                    f"forward {rows[0]:7.1f} backward {rows[1]:7.1f} "
                    f"CPU {best[library]:7.3f} s  overhead {over:5.2f}  ratio {over / mine:5.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
