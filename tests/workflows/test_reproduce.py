"""The command beside a result shows that result again."""

import shlex

from casemate.cli import main
from casemate.workflows import config
from casemate.workflows.attacking import attack_once


def test_the_command_repeats_the_trial(project, capsys):
    done = attack_once(
        config.read(), "evasion-pgd", params={"eps": 0.15, "norm": "linf"}, inputs=7, seed=3
    )
    words = shlex.split(done.bundle.commands[done.trial.id])
    assert main([*words[1:], "--format", "json", "--quiet", "--fresh"]) == 0
    import json

    again = json.loads(capsys.readouterr().out)["attacks"][0]
    assert again["params"] == done.trial.params
    assert again["robust"]["value"] == done.trial.robust.value
