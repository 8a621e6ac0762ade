"""Whatever is done to a bundle without its key is caught, and called by its name."""

import random

import pytest

from casemate.case.verifier.program import check
from casemate.workflows.verifying import _key
from tests.case.verifier import mutations
from tests.workflows.bundled import case

EACH = 4


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("bundles")
        made = case(root, patch)
        older = made.bundle("older")
        made.note("between them")
        newer = made.bundle("newer", withhold=["artifacts/*.bin"])
        stranger = tmp_path_factory.mktemp("other")
        other = case(stranger, patch)
        patch.setenv("CASEMATE_KEYS", str(root / "keys"))
        made.workspace.close()
        third = other.bundle("other")
        other.workspace.close()
    witness = (made.folder / "bundles" / "checkpoints").read_bytes()
    sets = mutations.Set(*(mutations.read(one.folder) for one in (newer, older, third)))
    return sets, _key(newer.key), witness


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return mutations.Stage(tmp_path_factory.mktemp("stage"))


def test_untouched_it_is_whole(given, stage):
    sets, key, witness = given
    found = check(stage.put(sets.files), [key], (), witness)
    assert found.answer == "whole", found.faults


@pytest.mark.parametrize("way", mutations.WAYS, ids=lambda way: way.__name__)
def test_it_is_caught_and_named(given, stage, way):
    sets, key, witness = given
    for seed in range(EACH):
        tampered = way(random.Random(f"{way.__name__}{seed}"), sets)
        found = check(stage.put(tampered.files), [key], (), witness)
        named = [one for one in found.faults if one.kind in tampered.kinds]
        assert found.answer == "changed", found.faults
        assert named, [one for one in found.faults if one.weight == "changed"]
        assert any(tampered.named in f"{one.where} {one.what}" for one in named), named


@pytest.mark.parametrize("way", [mutations.re_sign, mutations.re_sign_under_the_old_name])
def test_without_a_key_what_somebody_sealed_anew_is_never_called_whole(given, stage, way):
    sets, _, _ = given
    found = check(stage.put(way(random.Random(1), sets).files))
    assert found.answer != "whole"
