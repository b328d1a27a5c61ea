"""The speedrun's rules: what is scored, what the checker lets pass, and what it does not."""

import ast
import contextlib
import importlib.util
import json
import math
import re
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from numpygpt import gradcheck
from numpygpt.nn import Embedding, Linear

SPEEDRUN = Path(__file__).parents[1] / "benchmarks/speedrun"
sys.path.insert(0, str(SPEEDRUN))

import check  # noqa: E402
import rules  # noqa: E402
import run  # noqa: E402

SCRIPT = '"""A lesson."""\n\nimport numpy as np\nimport rules\nfrom numpygpt import GPT\n'
V = 5


# ---- the score ----


def text(n=3000):
    return np.random.default_rng(0).integers(0, V, n)


def uniform(x):
    return np.full((*x.shape, V), -math.log(V))


def after_last(x):
    """Log-probabilities that depend on the character read: the next one is one more."""
    p = np.full((*x.shape, V), 0.1 / (V - 1))
    np.put_along_axis(p, ((x + 1) % V)[..., None], 0.9, axis=-1)
    return np.log(p)


def test_the_score_is_the_mean_over_all_windows():
    val = text()
    assert rules.score(uniform, val) == pytest.approx(math.log(V))
    x, y = rules.windows(val)
    assert (
        x.shape == (11, 256) and (x[1:, 0] == y[:-1, -1]).all() and (y.ravel() == val[1:2817]).all()
    )
    hit = (y == (x + 1) % V).mean()
    expected = -hit * math.log(0.9) - (1 - hit) * math.log(0.1 / (V - 1))
    assert rules.score(after_last, val) == pytest.approx(expected)


def peeks(x):
    p = uniform(x)
    p[:, :-1] = after_last((x[:, 1:] - 1) % V)  # the next character itself
    return p


def peeks_at_the_end(x):
    return after_last((x + x[:, -1:]) % V)


@pytest.mark.parametrize(
    ("log_probs", "message"),
    [
        (peeks, "depend on characters that come later"),
        (peeks_at_the_end, "depend on characters that come later"),
        (lambda x: uniform(x) + 0.5, "do not add up to 1"),
        (lambda x: uniform(x)[:, :-1], "have shape"),
    ],
    ids=["peeks", "peeks at the end", "no probabilities", "a place less"],
)
def test_a_score_that_is_none_is_refused(log_probs, message):
    with pytest.raises(ValueError, match=message):
        rules.score(log_probs, text())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_reads_windows_in_pieces_of_its_context(threads):
    from numpygpt import GPT, GPTConfig
    from numpygpt.engine import ThreadedEngine

    model = GPT(GPTConfig(V, 64, 1, 2, 8), rng=np.random.default_rng(0), dtype=np.float64)
    val = text()
    x, y = (a.reshape(-1, 64) for a in rules.windows(val))
    engine = ThreadedEngine(model, threads)
    assert rules.score(rules.in_pieces(engine, 64), val) == pytest.approx(model(x, y)[1], rel=1e-9)


def test_overlapping_pieces_use_what_the_last_one_has_not_read():
    class Position:
        """Says at each place how many characters it has read, by the character that it expects."""

        def __call__(self, x):
            log_p = np.full((*x.shape, 256), -1e9)
            np.put_along_axis(log_p, np.arange(x.shape[1])[None, :, None] % 256, 0.0, axis=-1)
            return np.broadcast_to(log_p[0], (*x.shape, 256))

    class Engine:
        models, threads, pool = [Position()], 1, None
        blas = SimpleNamespace(limited=lambda n: contextlib.nullcontext())

    for context, stride in ((64, 32), (128, 32), (256, 256), (64, None)):
        log_p = rules.in_pieces(Engine(), context, stride)(np.zeros((2, 256), int))
        read = log_p.argmax(axis=-1)
        step = stride or context
        expected = [i if i < context else context - step + (i - context) % step for i in range(256)]
        assert (read == expected).all()
    with pytest.raises(ValueError, match="pieces of 100, 100 apart, do not fill a window of 256"):
        rules.in_pieces(Engine(), 100)


def test_the_text_is_that_of_datagen():
    from numpygpt.data import split

    vocab_size, train, val = rules.load()
    assert (vocab_size, len(train), len(val)) == (63, 1_070_124, 118_903)
    assert len(split(rules.TEXT.read_text())[1]) == len(val)


# ---- the p-value ----


def test_the_tail_of_students_t_is_that_of_the_tables():
    # 2.5 percent and 0.5 percent points of the tables, for 1, 4, 10 and 120 degrees of freedom.
    for dof, t in ((1, 12.706), (4, 2.776), (10, 2.228), (120, 1.980)):
        assert check.student_t_tail(t, dof) == pytest.approx(0.025, abs=2e-5)
        assert check.student_t_tail(-t, dof) == pytest.approx(0.975, abs=2e-5)
    for dof, t in ((1, 63.657), (4, 4.604), (10, 3.169), (120, 2.617)):
        assert check.student_t_tail(t, dof) == pytest.approx(0.005, abs=1e-5)


def test_welchs_test_by_hand():
    # Lead 1, errors √(1/3 + 4/3); 3.0 degrees of freedom of (5/3)² / ((1/3)²/2 + (4/3)²/2).
    new, old = [0.0, 1.0, 2.0], [0.0, 2.0, 4.0]
    t, dof = 1 / math.sqrt(5 / 3), (5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert check.p_value(new, old) == pytest.approx(check.student_t_tail(t, dof))
    assert check.p_value(old, new) == pytest.approx(1 - check.p_value(new, old))
    assert check.p_value([1.0, 1.0], [2.0, 2.0]) == 0 and check.p_value([1.0, 1.0], [1.0, 1.0]) == 1


def test_it_agrees_with_a_permutation_test_where_that_can_say_something():
    rng = np.random.default_rng(1)
    new, old = rng.normal(1.60, 0.01, 7), rng.normal(1.612, 0.01, 7)
    both = np.concatenate([new, old])
    sums = np.array([sum(group) for group in combinations(both, 7)])
    assert check.p_value(new, old) == pytest.approx((sums <= new.sum() + 1e-9).mean(), abs=0.01)


# ---- records ----


def log(seed, loss, script=SCRIPT, cores=2, **changes):
    result = {"val_loss": round(loss, 4), "targets": 118_784, "context": 64, "seed": seed}
    result |= {"fraction": 1.0, "seconds": 200.0 + seed} | changes
    lines = [json.dumps({"cpu": "Z", "cores": cores}), "step 250  train 2.0", "result "]
    return script + run.END_OF_SCRIPT + "\n".join(lines) + json.dumps(result) + "\n"


@pytest.fixture
def records(tmp_path, monkeypatch, capsys):
    """Two records that keep the rules; a function that checks the second one."""
    folders = [tmp_path / "records" / name for name in ("01_old", "02_new")]
    for folder, mean in zip(folders, (1.80, 1.70), strict=True):
        folder.mkdir(parents=True)
        (folder / "train.py").write_text(SCRIPT)
        for seed in (1, 2, 3, 4):
            (folder / f"seed-{seed}.log").write_text(log(seed, mean + 0.001 * seed))
    readme = tmp_path / "README.md"
    readme.write_text(
        "| record | mean loss | context | seconds | lesson |\n|---|---|---|---|---|\n"
        "| [01_old](records/01_old) | 1.8025 (1.80 to 1.81) | 64 | 204 | x |\n"
        "| [02_new](records/02_new) | 1.7025 (1.70 to 1.71) | 64 | 204 | y |\n"
    )
    monkeypatch.setattr(check, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(check, "README", readme)

    def verdicts(*argv):
        code = check.main(list(argv))
        wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  NO")]
        assert code == bool(wrong)
        return wrong

    return SimpleNamespace(old=folders[0], new=folders[1], readme=readme, verdicts=verdicts)


def test_records_that_keep_the_rules_pass(records):
    assert records.verdicts() == [] and records.verdicts("02_new") == []


def rewrite(path, old, new):
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))


BROKEN = {
    "no script": (lambda r: (r.new / "train.py").unlink(), "train.py"),
    "another script": (
        lambda r: (r.new / "train.py").write_text(SCRIPT + "more = 1\n"),
        "contains the script",
    ),
    "imports": (
        lambda r: [
            path.write_text("import torch\n" + path.read_text()) for path in r.new.iterdir()
        ],
        r"\['torch'\]",
    ),
    "three seeds": (lambda r: (r.new / "seed-4.log").unlink(), "seeds are 1 to 4"),
    "a seed left out": (
        lambda r: (r.new / "seed-5.log").write_text(log(6, 1.70)),
        "seeds are 1 to 5",
    ),
    "a seed twice": (lambda r: (r.new / "seed-4.log").write_text(log(1, 1.7)), "seeds are 1 to 4"),
    "too slow": (
        lambda r: (r.new / "seed-4.log").write_text(log(4, 1.704, seconds=300.2)),
        "the longest took",
    ),
    "a part of the steps": (
        lambda r: (r.new / "seed-4.log").write_text(log(4, 1.704, fraction=0.5)),
        "all its steps",
    ),
    "other windows": (
        lambda r: (r.new / "seed-4.log").write_text(log(4, 1.704, targets=118_528)),
        "scored on 118,784",
    ),
    "four cores": (
        lambda r: (r.new / "seed-4.log").write_text(log(4, 1.704, cores=4)),
        "on at most 2 cores",
    ),
    "no lead": (
        lambda r: [
            (r.new / f"seed-{seed}.log").write_text(log(seed, 1.801 + 0.001 * seed - 0.001 * 9))
            for seed in (1, 2)
        ],
        "p = ",
    ),
    "no result": (lambda r: rewrite(r.new / "seed-1.log", "result ", "was "), "can be read"),
    "no number": (lambda r: rewrite(r.new / "seed-1.log", "1.701", "NaN"), "can be read"),
    "no script in a log": (
        lambda r: rewrite(r.new / "seed-1.log", run.END_OF_SCRIPT, ""),
        "can be read",
    ),
    "another number in the table": (lambda r: rewrite(r.readme, "1.7025", "1.6925"), "README"),
    "no row": (lambda r: rewrite(r.readme, "[02_new]", "[03_new]"), "README"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_record_that_breaks_a_rule_is_named(records, name):
    break_it, words = BROKEN[name]
    break_it(records)
    wrong = records.verdicts("02_new")
    assert any(re.search(words, line) for line in wrong), wrong


def test_a_record_that_is_not_there_is_one_line(records, capsys):
    assert check.main(["07_none"]) == 2
    assert capsys.readouterr().err == "no record is called 07_none\n"


def test_the_records_of_the_repository_keep_the_rules(capsys):
    finished = [p.name for p in sorted(check.RECORDS.iterdir()) if list(p.glob("seed-*.log"))]
    code = check.main(finished) if finished else 0
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(SPEEDRUN.glob("*/*/train.py")), ids=lambda p: p.parent.name)
def test_a_script_begins_with_its_lesson_and_imports_what_it_may(path):
    script = path.read_text()
    assert ast.get_docstring(ast.parse(script)) and not check.foreign_imports(script)
    assert len(script.splitlines()) < 150


# ---- the runner ----

TINY = '''"""Counts."""

import numpy as np
import rules

args = rules.arguments()
vocab_size, train, val = rules.load()
counts = np.bincount(train[: args.steps(100_000)], minlength=vocab_size) + 1.0
log_p = np.log(counts / counts.sum())
rules.progress(250, 2.0)
rules.report(lambda x: np.broadcast_to(log_p, (*x.shape, vocab_size)), val, context=0)
'''


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    folder = tmp_path / "records/01_tiny"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TINY)
    monkeypatch.setattr(run, "RECORDS", tmp_path / "records")
    return folder


def test_a_run_is_timed_scored_and_logged_with_its_script(tiny, capsys):
    run.main(["01_tiny", "--seeds", "1", "2", "--keep"])
    script, result = check.read_log(tiny / "seed-2.log")
    assert script == TINY and result["seed"] == 2 and result["targets"] == 118_784
    assert 3.2 < result["val_loss"] < 3.5 and 0 < result["seconds"] < 60 and result["cores"] <= 2
    assert "01_tiny, seed 2: 3.3" in capsys.readouterr().out


def test_a_try_is_no_record_and_a_script_that_fails_leaves_no_log(tiny, capsys):
    with pytest.raises(SystemExit):
        run.main(["01_tiny", "--fraction", "0.1", "--keep"])
    (tiny / "train.py").write_text("import rules\nrules.arguments()\nraise SystemExit(3)\n")
    with pytest.raises(SystemExit, match="ended with exit code 3 and without a score"):
        run.main(["--keep"])
    assert [path.name for path in tiny.iterdir()] == ["train.py"]
    with pytest.raises(SystemExit, match="no record is called 02; there are 01_tiny"):
        run.main(["02"])


# ---- layers of their own ----


def load_script(path):
    spec = importlib.util.spec_from_file_location("script", SPEEDRUN / path / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_embedding_of_pairs_has_the_right_gradients():
    rng = np.random.default_rng(0)
    layer = load_script("candidates/pairs").Pairs(Embedding(5, 3, rng=rng, dtype=np.float64))
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    ids = rng.integers(0, 5, (2, 7))
    ids[1] = ids[0]  # the same pairs again
    assert gradcheck(layer, ids, rng=rng).rows
    expected = layer.W[ids[0, 3]] + layer.P[5 * ids[0, 2] + ids[0, 3]]
    np.testing.assert_array_equal(layer(ids)[0, 3], expected)
    np.testing.assert_array_equal(layer(ids)[0, 0], layer.W[ids[0, 0]])


def test_an_embedding_of_triples_has_the_right_gradients():
    rng = np.random.default_rng(0)
    layer = load_script("candidates/trigrams").NGrams(
        Embedding(5, 3, rng=rng, dtype=np.float64), 11
    )
    for p in layer.params().values():
        p[...] = rng.normal(0, 0.5, p.shape)
    ids = rng.integers(0, 5, (2, 9))
    ids[1] = ids[0]
    assert gradcheck(layer, ids, rng=rng).rows
    # What a place gets depends on its character and the two before it, and on them alone.
    other = ids.copy()
    other[0, 3] = (ids[0, 3] + 1) % 5
    changed = (layer(other) != layer(ids)).any(axis=-1)
    assert changed[0].tolist() == [3 <= i <= 5 for i in range(9)] and not changed[1].any()


def test_dropout_has_the_right_gradients_and_can_be_switched_off():
    rng = np.random.default_rng(0)
    Dropped = load_script("candidates/dropout").Dropped
    inner = Linear(4, 3, rng=rng, dtype=np.float64)

    class Again(Dropped):
        def forward(self, x):
            self.rng = np.random.default_rng(7)  # the same mask each time
            return Dropped.forward(self, x)

    layer, x = Again(inner, 0.4, 0), rng.normal(size=(50, 4))
    gradcheck(layer, x, rng=rng)
    y = layer(x)
    assert 0.3 < (y == 0).mean() < 0.5
    np.testing.assert_allclose(y[y != 0], inner(x)[y != 0] / 0.6)
    layer.on = False
    np.testing.assert_array_equal(layer(x), inner(x))
