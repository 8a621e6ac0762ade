import hashlib
import json

import pytest

from casemate.errors import UsageError
from casemate.lineage.hub import LOADED, read

CARD = """---
license: apache-2.0
base_model: google/bert-tiny
base_model_relation: finetune
datasets:
- squad
- team/own
---
# A model
"""


def model(folder, *, card=None, weights=("model.safetensors",), **files):
    folder.mkdir(parents=True)
    for name in weights:
        (folder / name).write_bytes(f"{folder} {name}".encode())
    if card is not None:
        (folder / "README.md").write_text(card)
    for name, body in files.items():
        (folder / f"{name}.json").write_text(json.dumps(body))
    return folder


def edges(lineage):
    return {(e.source, e.relation, e.target) for e in lineage.edges}


def test_a_card_says_what_a_model_came_from_and_learned_from(tmp_path):
    folder = model(tmp_path / "fraud", card=CARD, config={"architectures": ["BertModel"]})
    lineage = read(str(folder))
    assert edges(lineage) == {
        ("hf:google/bert-tiny", "derived-from", "hf:fraud"),
        ("hf:datasets/squad", "read-by", "hf:fraud#training"),
        ("hf:datasets/team/own", "read-by", "hf:fraud#training"),
        ("hf:fraud#training", "made", "hf:fraud"),
    }
    (node,) = (n for n in lineage.nodes if n.id == "hf:fraud")
    weights = (folder / "model.safetensors").read_bytes()
    assert node.digest == f"sha256:{hashlib.sha256(weights).hexdigest()}"
    assert node.facts["base_model_relation"] == "finetune"


def test_the_hubs_cache_an_adapter_and_shards(tmp_path):
    snapshot = tmp_path / "models--team--chat" / "snapshots" / "0a1b"
    model(
        snapshot,
        weights=("adapter-1.safetensors", "adapter-2.safetensors"),
        adapter_config={"base_model_name_or_path": "big/base"},
    )
    lineage = read(str(tmp_path))
    assert ("hf:big/base", "derived-from", "hf:team/chat") in edges(lineage)
    assert ("hf:team/chat/adapter-1.safetensors", "part-of", "hf:team/chat") in edges(lineage)


def test_what_a_configuration_was_loaded_from_is_a_proposal(tmp_path):
    model(tmp_path / "m", config={"_name_or_path": "google/bert-tiny"})
    (edge,) = read(str(tmp_path)).edges
    assert edge.confidence == LOADED
    assert "no card" in edge.why
    model(tmp_path / "n", config={"_name_or_path": "/models/ana/checkpoint-3 (old)"})
    assert len(read(str(tmp_path)).edges) == 1


def test_a_model_that_says_nothing_is_told(tmp_path):
    model(tmp_path / "m", config={})
    assert any("says neither" in note for note in read(str(tmp_path)).notes)


def test_places_without_a_model_are_told(tmp_path):
    for place in (tmp_path, tmp_path / "no"):
        with pytest.raises(UsageError):
            read(str(place))


@pytest.mark.parametrize(
    "card",
    ["---\n", "---\na: &x [*x]\n---\n", "---\n- 1\n---\n", "---\nbase_model: {a: [b]}\n---\n",
     "---\n\x00\n---\n", "---\nbase_model: 5\ndatasets: [5, null, [x]]\n---\n"],
)  # fmt: skip
def test_hostile_cards_do_no_harm(tmp_path, card):
    folder = model(tmp_path / "m", card=card, config=[1], adapter_config={"a": 1})
    (folder / "config.json").write_text("[" * 100_000)
    assert [node.id for node in read(str(tmp_path)).nodes if node.kind == "model"] == ["hf:m"]
