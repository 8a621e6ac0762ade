"""What docs/howto/guard-a-server.md says is what the guard does."""

import re
import tomllib

import msgspec

from casemate.guard.guard import Guard
from casemate.guard.mitigations.table import NOT_THE_MODELS_OWN, mitigations
from casemate.guard.policy import GuardTable
from tests.arch.house import ROOT
from tests.guard.traffic import KEYS, WRITER

TEXT = (ROOT / "docs" / "howto" / "guard-a-server.md").read_text(encoding="utf-8")


def test_its_policy_is_accepted(tmp_path):
    (tmp_path / "score.json").write_text('{"rows": "$inputs"}')
    body = tomllib.loads(re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1])["guard"]
    made = Guard(msgspec.convert(body, GuardTable), keys=KEYS, writer=WRITER, root=tmp_path)
    assert made.enforces


def test_its_table_holds_every_action_with_its_settings():
    told = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", TEXT, re.MULTILINE))
    does = mitigations(KEYS)
    assert set(told) == set(does)
    for action, mitigation in does.items():
        settings = dict.fromkeys(re.findall(r"`([a-z_]+)", told[action]))
        assert list(settings) == list(mitigation.defaults), action
        for name, value in re.findall(r"`([a-z_]+) = ([^`]+)`", told[action]):
            assert tomllib.loads(f"x = {value}")["x"] == mitigation.defaults[name], (action, name)
    assert set(list(told)[-2:]) == NOT_THE_MODELS_OWN
