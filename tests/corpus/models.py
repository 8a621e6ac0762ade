"""Samples of the rules about torch, NumPy, safetensors and ONNX files."""

import io
import json

from tests.corpus.inert import HARMLESS
from tests.corpus.protobuf import field, graph, model, node, tensor
from tests.corpus.samples import Sample
from tests.corpus.zips import Member, zipped


def npy(header, data=bytes(8)):
    """Return a .npy file of version 1 with this header text."""
    raw = header.encode()
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + data


NPY = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"


def archive(*members, root="m"):
    """Return a PyTorch archive of a harmless pickle and more."""
    usual = [Member(f"{root}/data.pkl", HARMLESS), Member(f"{root}/version", b"3\n")]
    return zipped(*usual, *members)


def script(code):
    return archive(
        Member("m/code/__torch__.py", code.encode()), Member("m/constants.pkl", HARMLESS)
    )


FORWARD = "class M(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    return {}\n"


def safetensors(header, data=bytes(8), length=None):
    """Return a safetensors file; a header that is text is taken as it stands."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def entry(start=0, end=4, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


SAFE = {"__metadata__": {"format": "pt"}, "a": entry(), "b": entry(4, 8)}
ONE = b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
TWICE = b"{" + ONE + b"," + ONE + b"}"


def subgraph(inner):
    """Return a model whose only node holds `inner` as a graph attribute."""
    return model(graph([node("If", attributes=[field(1, "then_branch") + field(6, inner)])]))


def real_onnx():
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    w = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    made = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [w])
    out = io.BytesIO()
    onnx.save(helper.make_model(made), out)
    return out.getvalue()


OUT = "../../../etc/passwd"
SAMPLES = [
    Sample(
        "numpy-header-odd",
        lambda: npy(NPY.replace("(1,)", "(__import__('os'),)")),
        lambda: npy(NPY),
    ),
    Sample("numpy-header-odd", lambda: npy("{'descr': '<f8', }"), lambda: npy(NPY), note="keys"),
    Sample(
        "torch-native-code",
        lambda: archive(Member("m/data/aotinductor/m.so", b"\x7fELF" + bytes(60))),
        archive,
    ),
    Sample(
        "torch-package-runs-source",
        lambda: archive(Member("m/.data/extern_modules", b""), Member("m/net.py", b"x = 1\n")),
        archive,
    ),
    Sample(
        "torch-script-touches-files",
        lambda: script(FORWARD.format('torch.save(x, "a")')),
        lambda: script(FORWARD.format('torch.add(x, "torch.save(")')),
    ),
    Sample(
        "torch-script-touches-files",
        lambda: script(FORWARD.format('ops.aten.from_file("a", True, 1)')),
        lambda: script(FORWARD.format("ops.aten.relu(x)")),
    ),
    Sample(
        "torch-script-custom-operator",
        lambda: script(FORWARD.format("ops.mylib.run(x)")),
        lambda: script(FORWARD.format("ops.torchvision.nms(x)")),
    ),
    Sample(
        "safetensors-header-invalid",
        lambda: safetensors(SAFE, length=1 << 40),
        lambda: safetensors(SAFE),
        note="length",
    ),
    Sample(
        "safetensors-header-invalid",
        lambda: safetensors(SAFE, bytes(4)),
        lambda: safetensors(SAFE),
        note="outside",
    ),
    Sample(
        "safetensors-header-invalid",
        lambda: safetensors({"a": entry(0, 8)}),
        lambda: safetensors({"a": entry(0, 8, shape=(2,))}),
        note="size",
    ),
    Sample(
        "safetensors-header-invalid",
        lambda: safetensors({"a": entry(0, 8, "X9", (2,))}),
        lambda: safetensors({"a": entry(0, 8, "F64")}),
        note="type",
    ),
    Sample(
        "safetensors-header-invalid",
        lambda: safetensors(b'{"a": [' + b"[" * 9999),
        lambda: safetensors(SAFE),
        note="json",
    ),
    Sample(
        "safetensors-header-invalid",
        lambda: safetensors(SAFE | {"__metadata__": {"a": 1}}),
        lambda: safetensors(SAFE),
        note="metadata",
    ),
    Sample(
        "safetensors-tensors-overlap",
        lambda: safetensors({"a": entry(0, 8, shape=(2,)), "b": entry(4, 8)}),
        lambda: safetensors(SAFE),
    ),
    Sample("safetensors-duplicate-key", lambda: safetensors(TWICE), lambda: safetensors(SAFE)),
    Sample(
        "safetensors-hidden-data",
        lambda: safetensors(SAFE, bytes(64)),
        lambda: safetensors(SAFE),
        note="behind",
    ),
    Sample(
        "safetensors-hidden-data",
        lambda: safetensors({"b": entry(4, 8)}),
        lambda: safetensors(SAFE),
        note="hole",
    ),
    Sample(
        "onnx-external-data-escapes",
        lambda: model(graph([node()], [tensor(location=OUT)])),
        lambda: model(graph([node()], [tensor(location="w.bin")])),
    ),
    Sample(
        "onnx-external-data-escapes",
        lambda: subgraph(graph([node()], [tensor(location="/etc/passwd")])),
        lambda: subgraph(graph([node()], [tensor()])),
        note="subgraph",
    ),
    Sample(
        "onnx-external-data-escapes",
        lambda: model(
            graph(
                [node("Constant", attributes=[field(1, "value") + field(5, tensor(location=OUT))])]
            )
        ),
        real_onnx,
        note="attribute",
    ),
    Sample(
        "onnx-python-operator",
        lambda: model(graph([node("PyOp", "ai.onnx.contrib")])),
        lambda: model(graph([node("Gelu", "com.microsoft")])),
    ),
    Sample(
        "onnx-custom-operator",
        lambda: model(graph([node("Steal", "acme")])),
        lambda: model(
            graph([node("Mine", "acme")]), [field(1, "Mine") + field(10, "acme") + field(7, node())]
        ),
    ),
    Sample(
        "onnx-tensor-size-wrong",
        lambda: model(graph([node()], [tensor(dims=(1 << 20, 1 << 21))])),
        lambda: model(graph([node()], [tensor(dims=(2, 1))])),
    ),
]
