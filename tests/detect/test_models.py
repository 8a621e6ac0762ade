from casemate.detect import shifts
from casemate.detect.accounts import Account
from casemate.detect.models import KEPT, OF_ONE, Baseline, Model
from casemate.records.event import Measures


def test_tenths_of_usual_inputs():
    baseline = Baseline()
    for i in range(1000):
        baseline.add(
            Measures(label=i % 3, margin=i / 1000, norm=1 + i / 1000, delta=0.5 + i / 1000)
        )
    assert baseline.place(Measures(label=2, margin=0.05, norm=1.95)) == (0, 9, 2, -1)
    assert baseline.place(Measures()) == (-1, -1, -1, -1)
    assert 0.2 < baseline.apart < 0.4


def test_answers_of_few_values_have_no_tenths():
    baseline = Baseline()
    for i in range(1000):
        baseline.add(Measures(label=0, margin=float(i % 2)))
    assert baseline.place(Measures(label=0, margin=0.5)) == (-1, -1, 0, -1)


def test_it_stands_once_it_is_whole():
    baseline = Baseline()
    for _ in range(KEPT):
        baseline.add(Measures(label=0, margin=0.5))
    baseline.add(Measures(label=1))
    assert baseline.labels == {0: KEPT}


def test_one_principal_cannot_teach_it():
    model = Model("m", 0)
    account = Account("eve", None, 0)
    for _ in range(1000):
        account.asked += 1
        model.usual(Measures(label=0), account)
    assert model.baseline.seen == OF_ONE


def test_shifts_are_told_from_chance():
    even = dict.fromkeys(range(10), 20)
    assert shifts.index(even, shifts.TENTHS) < 0.01
    assert shifts.evidence(even, shifts.TENTHS) < 0
    odd = {0: 150, 1: 50}
    assert shifts.index(odd, shifts.TENTHS) > 1
    assert shifts.evidence(odd, shifts.TENTHS) > 50
    assert shifts.kinds(even) > 9.9
    assert 1 < shifts.kinds(odd) < 2
