import contextlib
import pickle
import struct
import zipfile

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.lineage.tensors import tensors_of

torch = pytest.importorskip("torch")


def read(path):
    return {tensor.name: tensor.values for tensor in tensors_of(path)}


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(4, 3),
        "half": torch.randn(5).half(),
        "brain": torch.randn(6).bfloat16(),
        "count": torch.arange(7),
        "view": torch.randn(4, 6).t()[1:4],
    }


def test_safetensors_torch_and_npz_give_the_same_numbers(tmp_path, state):
    from safetensors.torch import save_file

    whole = {name: value.contiguous() for name, value in state.items()}
    save_file(whole, tmp_path / "m.safetensors")
    torch.save(state, tmp_path / "m.pt")
    arrays = {name: value.float().numpy() for name, value in state.items()}
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    for name in ("m.safetensors", "m.pt", "m.npz"):
        found = read(tmp_path / name)
        assert found.keys() == state.keys()
        for key, value in arrays.items():
            np.testing.assert_array_equal(found[key].astype("f4"), value)


def test_a_checkpoint_holds_its_tensors_under_names_that_lead_there(tmp_path):
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    body = {"model": model.state_dict(), "optim": optimiser.state_dict(), "epoch": 3}
    torch.save(body, tmp_path / "c.pt")
    found = read(tmp_path / "c.pt")
    np.testing.assert_array_equal(found["model.weight"], model.weight.detach().numpy())
    assert found["optim.state.0.exp_avg"].shape == (2, 3)


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


def archive(path, body, **members):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data.pkl", body)
        for name, data in members.items():
            made.writestr(f"a/data/{name}", data)
    return path


def test_nothing_runs(tmp_path, capsys):
    torch.save({"x": torch.ones(2), "y": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(FormatError, match=r"__builtin__\.print"):
        read(tmp_path / "evil.pt")
    for body in (b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n.", b"\x80\x04\x93."):
        with pytest.raises(FormatError):
            read(archive(tmp_path / "b.pt", body))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [(0, (1 << 40,), (0,)), (5, (4,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (1,)), (0, (3,), (9,)),
     (0, (2,), (-1,)), (0, (1 << 60, 1 << 60), (0, 0)), (0, ("x",), (1,))],
)  # fmt: skip
def test_shapes_that_lead_out_of_the_storage_give_nothing(tmp_path, offset, shape, stride):
    def load():
        pass

    class Rebuild:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Stored(), offset, shape, stride, False, None)

    class Stored:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Stored):
                return ("storage", torch.FloatStorage, "0", "cpu", 4)
            return None

    import io

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"x": Rebuild()})
    path = archive(tmp_path / "m.pt", buffer.getvalue(), **{"0": struct.pack("<4f", 1, 2, 3, 4)})
    with contextlib.suppress(FormatError):
        assert read(path) == {}


def test_bombs_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x.npy", b"\0" * (200 << 20))
    with pytest.raises(FormatError, match="unpacks"):
        read(tmp_path / "b.npz")


def test_damaged_files_are_read_or_refused(tmp_path, state):
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "m.st")
    torch.save(state, tmp_path / "m.pt")
    np.savez(tmp_path / "m.npz", a=np.ones(3))
    rng = np.random.default_rng(0)
    for name in ("m.st", "m.pt", "m.npz"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                damaged[place] ^= int(rng.integers(1, 256))
            (tmp_path / "x").write_bytes(damaged[: int(rng.integers(1, len(whole) + 1))])
            try:
                read(tmp_path / "x")
            except FormatError:
                continue
    (tmp_path / "x").write_bytes(b"hello, this is no model")
    with pytest.raises(FormatError, match="no tensors"):
        read(tmp_path / "x")
