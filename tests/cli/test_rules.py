"""`casemate rules` on the command line."""

from casemate.cli import main, rules
from casemate.workflows.rules import sigma_rules


def test_the_command_line_lists_tests_and_converts(capsys):
    assert main(["rules", "list"]) == 0
    said = capsys.readouterr().out
    assert all(one.id in said for one in sigma_rules())
    assert main(["rules", "test", "record-gap"]) == 0
    assert "0 failed" in capsys.readouterr().out
    assert main(["rules", "convert", "record-gap", "--to", "kusto"]) == 0
    assert "CasemateEvents" in capsys.readouterr().out
    assert main(["rules", "convert", "no-such", "--to", "kusto"]) == 2
    assert rules.run_list
