"""The inline judge from the outside: exchanges in, measures out."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from casemate.detect.inline.contract import learn
from casemate.detect.inline.judge import InlineJudge
from casemate.records.event import Measures
from casemate.records.exchange import Exchange
from tests.journeys import service

KEY = b"a key of the tests, 32 bytes long"


class Asking:
    """Sends inputs to a judge, one event after another."""

    def __init__(self, key=KEY, **options):
        self.judge = InlineJudge(key, **{"capacity": 8192, **options})
        self.asked = 0

    def __call__(self, x, *, who="ann", model="m", scores=None, labels=None, at=None, **given):
        rows = len(x) if x is not None else len(given["texts"])
        ids = [f"w-0123456789abcdef:{self.asked + i}" for i in range(rows)]
        self.asked += rows
        exchange = Exchange(
            at=at or 10**15 + self.asked, principal=who, model=model, rows=rows, x=x, **given
        )
        looked = self.judge.look(exchange, ids)
        answered = msgspec.structs.replace(exchange, scores=scores, labels=labels)
        return self.judge.weigh(answered, looked)


@pytest.fixture(scope="module", autouse=True)
def warm():
    InlineJudge(KEY, capacity=8).warm()


@pytest.fixture(scope="module")
def digits():
    x, _ = service.mnist()
    return x.astype(np.float64)[np.random.default_rng(1).permutation(len(x))].reshape(-1, 28, 28)


def test_a_repeat_is_at_distance_zero_and_in_the_cluster(digits):
    ask = Asking()
    first, second = ask(digits[:1])[0], ask(digits[:1])[0]
    assert (first.size, first.near_to, first.delta, first.near) == (1, None, None, 0.0)
    assert (second.near, second.delta, second.size) == (1.0, 0.0, 2)
    assert second.near_to == "w-0123456789abcdef:0"
    assert second.cluster == first.cluster == first.marks[0] == second.marks[0]
    assert second.near_same is True
    assert ask(digits[:1], who="bob")[0].near_same is False


def test_distinct_natural_inputs_are_not_linked(digits):
    ask = Asking()
    linked = [m for i in range(4000) for m in ask(digits[i : i + 1], who=f"u{i % 60}")]
    assert sum(m.near >= 0.5 for m in linked) == 0
    assert all(0 <= m.near < 0.5 for m in linked)


def changes(rng):
    """What attacks do to an input, one query each, as functions of it."""

    def square(x):
        a, b = rng.integers(0, 22, 2)
        x[a : a + 6, b : b + 6] += rng.choice([-0.3, 0.3])

    def pixel(x):
        x[tuple(rng.integers(0, 28, 2))] += 0.5

    def noise(x):
        x += rng.normal(0, 0.01, x.shape)

    def waves(x):
        angle = np.outer(np.cos(np.arange(28) / 9), np.sin(np.arange(28) / 7))
        x += 0.02 * rng.normal() * angle

    def faint(x):
        x += rng.normal(0, 1e-4, x.shape)

    return [square, pixel, noise, waves, faint]


@pytest.mark.parametrize("kind", range(5), ids=["square", "pixel", "noise", "waves", "faint"])
def test_an_attacks_queries_join_the_cluster_of_their_seed(digits, kind):
    rng = np.random.default_rng(kind)
    change = changes(rng)[kind]
    ask = Asking()
    ask(digits[:2000], who="crowd")
    late = 0
    for seed in range(2000, 2030):
        cluster, linked = ask(digits[seed : seed + 1], who=f"eve{seed}")[0].cluster, []
        for _ in range(10):
            x = digits[seed].copy()
            change(x)
            told = ask(np.clip(x, 0, 1)[None], who=f"eve{seed}")[0]
            linked.append(told.cluster == cluster)
            assert told.delta < 1.0
        late += not any(linked[:3])
        assert sum(linked) >= 5
    assert late <= 1


def test_a_search_for_the_border_is_linked_and_halves(digits):
    ask = Asking()
    ask(digits[:500], who="crowd")
    one, two = digits[600], digits[700]
    low, high, told = 0.0, 1.0, []
    for _ in range(12):
        middle = (low + high) / 2
        told.append(ask(((1 - middle) * one + middle * two)[None], who="eve")[0])
        low = middle
    assert told[11].size >= 8
    ratios = [b.delta / a.delta for a, b in pairwise(told[5:])]
    assert all(0.3 < ratio < 0.75 for ratio in ratios)
    turns = [m.turn for m in told[7:] if m.turn is not None]
    assert len(turns) >= 2
    assert min(turns) > 0.9


def test_sixteen_accounts_share_a_cluster(digits):
    ask = Asking()
    rng = np.random.default_rng(0)
    told = [
        ask((digits[0] + rng.normal(0, 0.01, (28, 28)))[None], who=f"sybil{i % 16}")[0]
        for i in range(64)
    ]
    assert len({m.cluster for m in told}) == 1
    assert told[-1].size == 64
    assert sum(m.near_same is False for m in told) > 40


def test_without_the_key_nothing_can_be_told(digits):
    one, two = Asking(), Asking(b"another key, of as many bytes!!!")
    a = {mark for m in one(digits[:200]) for mark in m.marks}
    b = {mark for m in two(digits[:200]) for mark in m.marks}
    assert not (a & b) - {0}
    again = {mark for m in Asking()(digits[:200]) for mark in m.marks}
    assert a == again


def test_a_key_must_be_one():
    with pytest.raises(ValueError, match="16 bytes"):
        InlineJudge(b"short")


def test_answers_are_weighed(digits):
    ask = Asking()
    one = ask(digits[:1], scores=np.array([[0.7, 0.2, 0.1]]))[0]
    assert (one.label, one.confidence, one.flipped) == (0, 0.7, None)
    assert one.margin == pytest.approx(0.5)
    near = digits[:1] + 0.001
    two = ask(near, scores=np.array([[0.2, 0.7, 0.1]]))[0]
    assert (two.label, two.flipped) == (1, True)
    assert two.bits > one.bits > 0
    three = ask(near, scores=np.array([[0.2, 0.7, 0.1]]))[0]
    assert (three.delta, three.flipped) == (0.0, False)
    assert three.bits == two.bits  # a repeat tells nothing new


def test_labels_in_words_flip_too(digits):
    ask = Asking()
    ask(digits[:1], label_names=("cat",))
    told = ask(digits[:1] + 0.001, label_names=("dog",))[0]
    assert (told.label, told.label_name, told.flipped) == (None, "dog", True)


def test_answers_may_come_late_and_in_any_order(digits):
    judge = InlineJudge(KEY, capacity=64)
    exchanges = [
        Exchange(at=10**15, principal="p", model="m", x=digits[:1] + i / 1000) for i in range(3)
    ]
    looked = [judge.look(e, [f"w-0:{i}"]) for i, e in enumerate(exchanges)]
    answered = [
        judge.weigh(msgspec.structs.replace(exchanges[i], labels=np.array([i % 2])), looked[i])
        for i in (2, 0, 1)
    ]
    assert [m.label for told in answered for m in told] == [0, 0, 1]
    assert answered[2][0].flipped is True


def test_counts_are_of_the_principal(digits):
    ask = Asking()
    ask(digits[:30], who="ann")
    assert ask(digits[30:31], who="bob")[0].asked == 1
    told = ask(digits[31:32], who="ann")[0]
    assert told.asked == 31
    assert told.fresh == pytest.approx(31, rel=0.3)
    repeats = [ask(digits[:1], who="cat")[0] for _ in range(20)]
    assert (repeats[-1].asked, repeats[-1].fresh) == (20, 1)


def test_models_and_shapes_do_not_mix(digits):
    ask = Asking()
    ask(digits[:1])
    assert ask(digits[:1], model="other")[0].near_to is None
    assert ask(digits[:1, :14])[0].near_to is None


@pytest.mark.parametrize("scale", [1, 255, 1e-3, 4.0])
def test_any_range_of_values_will_do(digits, scale):
    ask = Asking()
    rng = np.random.default_rng(0)
    ask(digits[:300] * scale)
    ask(digits[500:501] * scale, who="eve")
    told = ask((digits[500:501] + rng.normal(0, 0.01, (1, 28, 28))) * scale, who="eve")[0]
    assert told.size == 2
    assert told.delta == pytest.approx(0.033, rel=0.5)


def test_one_wild_input_does_not_change_the_range(digits):
    ask = Asking()
    ask(digits[:50])
    ask(digits[60:61] * 1e6)
    assert ask(digits[:1] + 0.001)[0].size == 2


def people(n, seed):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, n)
    return np.column_stack(
        [
            rng.integers(18, 80, n), rng.lognormal(10, 1, n), rng.normal(0, 1, (n, 6)),
            np.eye(4)[kind], rng.integers(0, 2, n),
        ]
    )  # fmt: skip


NAMES = tuple(f"c{j}" for j in range(13))


@pytest.mark.parametrize("learned", [True, False], ids=["contract", "traffic"])
def test_table_rows_that_are_nearly_the_same_are_linked(learned):
    ask = Asking(contract=learn(people(2000, 0), NAMES) if learned else None)
    natural = [
        m
        for i, row in enumerate(people(1500, 1))
        for m in ask(row[None], who=f"u{i % 40}", columns=NAMES)
    ]
    assert sum(m.near >= 0.5 and m.near_same for m in natural) <= 3
    assert sum(m.near >= 0.5 for m in natural) <= 30
    base = people(1, 5)[0]
    first = ask(base[None], who="eve", columns=NAMES)[0]
    for j in range(8):
        row = base.copy()
        row[j] += [3, 300, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1][j]
        told = ask(row[None], who="eve", columns=NAMES)[0]
        assert told.cluster == first.cluster
        assert 0 < told.delta < 0.2


def test_words_of_a_table_count_as_columns():
    ask = Asking()
    rows = [(np.array([[30.0, 5.5]]), "red\x1fberlin"), (np.array([[30.0, 5.5]]), "blue\x1fparis")]
    for x, words in rows:
        ask(x, texts=(words,), columns=("age", "size"))
    same = ask(rows[0][0], texts=(rows[0][1],), columns=("age", "size"))[0]
    assert (same.delta, same.near_to) == (0.0, "w-0123456789abcdef:0")


def test_contract_breaks_are_told_in_words():
    ask = Asking(contract=learn(people(2000, 0), NAMES))
    row = people(1, 3)
    assert ask(row, columns=NAMES)[0].broken == 0
    row[0, 0] = np.nan
    told = ask(row, columns=NAMES)[0]
    assert (told.broken, told.broken_by) == (1, "c0 is missing")
    assert told.norm is not None


def test_texts_are_linked():
    ask = Asking()
    words = ("the loan was refused because", "please translate this letter", "what is the weather")
    for text in words:
        ask(None, texts=(text * 2,))
    told = ask(None, texts=(words[0] * 2 + "!",))[0]
    assert (told.size, told.near_to) == (2, "w-0123456789abcdef:0")
    assert ask(None, texts=("something else altogether, of some length",))[0].size == 1


def test_tokens_are_read_as_text_not_as_brightness():
    ask = Asking()
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 30_000, (50, 128))
    assert all(m.size == 1 for m in ask(rows))
    other = rows[7:8].copy()
    other[0, 60] = 5
    assert ask(other)[0].size == 2


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 28, 28)), np.full((2, 28, 28), np.nan), np.full((2, 5), np.inf),
        np.full((2, 28, 28), 1e308), np.zeros((2, 0)), np.array(["a", "b"]), np.ones(2),
        np.ones((2, 1)), np.ones((2, 1, 1, 1)), np.array([[1 + 2j], [1j]]), np.zeros((2, 7, 9)),
        np.zeros((2, 3, 100_000), np.float16), np.zeros((1, 4)),
        np.full((2, 100), -(2**63)), np.ones((2, 2, 2, 2, 2, 2, 2, 2)), np.array([[True], [False]]),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)  # fmt: skip
def test_any_array_is_measured_or_left_alone(x):
    ask = Asking()
    for _ in range(2):
        told = ask(x) if len(x) == 2 else ask(x, texts=("a", "b"))
        assert len(told) == len(x)
        for m in told:
            again = msgspec.json.decode(msgspec.json.encode(m), type=Measures)
            assert again == m


def test_texts_no_rows_and_many_rows():
    judge = InlineJudge(KEY, capacity=64)
    nothing = Exchange(at=1, principal="p", model="m")
    assert judge.weigh(nothing, judge.look(nothing, ["w-0:1"]))[0].near is None
    assert judge.look(nothing, []) == []
    fewer = Exchange(at=1, principal="p", model="m", x=np.ones((1, 9)))
    assert len(judge.look(fewer, ["w-0:2", "w-0:3"])) == 2


def soak(n, labels=5000):
    """Send n inputs from many callers to many models; return the judge."""
    ask = Asking(capacity=512, accounts=64)
    size = ask.judge.size
    rng = np.random.default_rng(0)
    for i in range(n):
        model = f"m{i % 2000}" if i % 3 else "m"
        x = rng.random((1, 64 + i % 40)).astype(np.float32)
        ask(x, who=f"u{i}", model=model, labels=np.array([i % labels]))
    assert ask.judge.size == size
    return ask.judge


def held(judge):
    return [
        len(judge._lines), len(judge._pending), len(judge._writers),
        max(len(line.labels) for line in judge._lines.values()),
    ]  # fmt: skip


def test_memory_is_bounded():
    lines, pending, writers, labels = held(soak(4000))
    assert lines <= 256
    assert pending == 0
    assert writers == 1
    assert labels <= 1024


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_stays_over_a_long_soak():
    import tracemalloc

    soak(5_000, 20)
    tracemalloc.start()
    soak(5_000, 20)
    early = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    soak(25_000, 20)
    late = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert late < 1.05 * early
