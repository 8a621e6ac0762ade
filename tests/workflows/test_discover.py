"""Models and data are found by name, leading bytes and syntax tree; nothing found is run."""

import numpy as np

from casemate.workflows.discover import discover, model_uri


def test_a_factory_and_a_loader_are_read_from_the_syntax_tree(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\nraise SystemExit('this file was run')\n"
        "def load_model(path='w.pt'): ...\ndef load_data(): ...\n"
    )
    found = discover(tmp_path)
    assert found.models == ("torch:net.py:load_model",)
    assert found.data == ("net.py:load_data",)


def test_a_function_that_needs_arguments_is_no_factory(tmp_path):
    (tmp_path / "net.py").write_text("import torch\ndef load_model(path, *, n): ...\n")
    assert discover(tmp_path).models == ()


def test_held_out_data_come_first(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=np.zeros(2))
    np.savez(tmp_path / "test.npz", x=np.zeros((2, 2)), y=np.zeros(2))
    np.savez(tmp_path / "other.npz", weights=np.zeros(2))
    assert discover(tmp_path).data == ("test.npz", "a.npz")


def test_models_by_suffix_and_content(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    (tmp_path / "m.joblib").write_bytes(b"\x80\x04.")
    (tmp_path / "lgb.txt").write_text("tree\nversion=v4\n")
    (tmp_path / "notes.txt").write_text("hello")
    found = discover(tmp_path)
    assert found.models == ("onnx:m.onnx", "sklearn:m.joblib", "lightgbm:lgb.txt")
    assert found.artifacts == ("lgb.txt", "m.joblib", "m.onnx")


def test_virtual_environments_and_hidden_folders_are_left_alone(tmp_path):
    for folder in (".cache", "own-env", "node_modules"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.onnx").write_bytes(b"x")
    (tmp_path / "own-env" / "pyvenv.cfg").write_text("")
    assert discover(tmp_path).models == ()


def test_weights_alone_are_an_artifact_but_no_model(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"x")
    found = discover(tmp_path)
    assert found.models == ()
    assert found.artifacts == ("w.safetensors",)
    assert model_uri(tmp_path / "w.safetensors", tmp_path) == ""


def test_a_source_file_that_does_not_parse_is_passed_over(tmp_path):
    (tmp_path / "broken.py").write_bytes(b"import torch\ndef load(:\n\xff\x00")
    assert discover(tmp_path).models == ()


def test_a_factory_by_another_name_is_known_by_its_verb_or_what_it_returns(tmp_path):
    (tmp_path / "a.py").write_text("import torch\ndef load_digits(): ...\ndef get_data(): ...\n")
    (tmp_path / "b.py").write_text("import torch.nn as nn\ndef resnet() -> nn.Module: ...\n")
    (tmp_path / "c.py").write_text("import torch\ndef get_device(): ...\ndef main(): ...\n")
    assert discover(tmp_path).models == ("torch:a.py:load_digits", "torch:b.py:resnet")
