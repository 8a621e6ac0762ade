from casemate.guard.fault import Fault, attempt


def test_what_works_is_returned_and_what_fails_is_a_fault_that_quotes_nothing(caplog):
    caplog.set_level("DEBUG")
    assert attempt(divmod, 7, 2) == (3, 1)
    assert attempt(int, "a secret prompt") == Fault("ValueError")
    assert "passed by" in caplog.text
