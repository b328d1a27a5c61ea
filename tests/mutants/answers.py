"""Mutants of our answers and of the right ones in other styles, each run as `check` runs it."""

import contextlib
import functools
import gc
import inspect
import io
import sys
import time
import warnings

import numpy as np
from each_case import cases_of

from coursekit.checking import ending
from coursekit.checking.covered import covered, load_all
from coursekit.checking.judge import Reference, judge
from coursekit.checking.outcomes import outcomes, owner
from coursekit.checking.slips.making import mutants, plain
from coursekit.checking.tasks import load_set, set_names
from mutants.child import Outcome, in_children, in_sample

UNIT = "tasks"
DRAWS = 8
SECONDS = 10  # of the processor; an answer needs some thousandths of one
READERS = ending.SECONDS  # after which a case of a reader's answer is endless
LEAST = 0.2  # after which a mutant's is, on this machine, if right answers need much less
TOGETHER = 25  # mutants in a process
PATIENCE = 8  # times as long as the slowest case of a right answer: then it is, too


@contextlib.contextmanager
def prepared(chosen, sample):
    """(what to run one after the other, the function that runs it) for the command."""
    yield [(name, task, sample) for name, task in tasks(chosen)], run


def run(piece):
    """The Outcome of the mutants of one task."""
    name, task, sample = piece
    ending.SECONDS = READERS
    references(name, task)
    ending.SECONDS = LEAST
    every = list(all_mutants(name, task))
    ran = [m for m in every if in_sample(m)] if sample else every
    found = fates(load_set(name), task, [m.source for m in ran])
    ended = [(m.id, end) for m, end in zip(ran, found, strict=True)]
    return Outcome(name, task, [m.id for m in every], ended)


def tasks(chosen=()):
    """Pairs of set and task: all, or those that numbers of sets and ids of tasks choose."""
    pairs = [(name, task) for name in set_names() for task in load_set(name).tasks]
    if unknown := set(chosen) - {name[:2] for name, _ in pairs} - {task for _, task in pairs}:
        raise SystemExit(f"mutants: there is no set or task {', '.join(sorted(unknown))}")
    return [(n, t) for n, t in pairs if not chosen or n[:2] in chosen or t in chosen]


def styles(exercises, task):
    """{name: source} of the right answers: ours, and those in other styles."""
    others = {v.name: v.source for v in exercises.tasks[task].of_kind("right")}
    return {"ours": exercises.own_answer(task)} | others


@functools.cache
def references(name, task):
    """What is right, on each draw of the cases: [Reference, …]."""
    exercises = load_set(name)
    found = []
    for draw in range(DRAWS):
        cases = list(exercises.tasks[task].cases(np.random.default_rng([draw, 11])))
        reference = Reference(exercises, task, cases)
        reference.like = lambda table, wrong, tried: []  # no need to know which one it is
        found.append(reference)
    load_all()  # once, and not in each child
    gc.freeze()  # a child that collects what the parent has would copy all of it
    return found


def all_mutants(name, task):
    """All mutants of a task's right answers, in order; none is one of these answers itself."""
    exercises = load_set(name)
    sources = styles(exercises, task)
    seen = {plain(source) for source in sources.values()}
    for style, source in sources.items():
        forms = forms_in(exercises, task, source)
        for mutant in mutants(f"{task}/{style}", source, forms, seen=seen):
            seen.add(mutant.source)
            yield mutant


def fates(exercises, task, sources):
    """How mutants end: "killed", "endless", "survived", or how `check` broke on one."""
    own = exercises.own_answer(task)
    work = functools.partial(fate, exercises, task)
    limits = {"seconds": SECONDS, "by_the_clock": 20 * SECONDS}
    found = []
    for start in range(0, len(sources), TOGETHER):
        some = sources[start : start + TOGETHER]
        *ended, last = in_children(work, [*some, own], **limits, each=TOGETHER + 1)
        if last != "survived":  # one of them has left something behind
            ended = in_children(work, some, **limits)
        found += ended
    return found


def fate(exercises, task, source):
    """How a mutant ends, in the child; one case after the other, until it is seen to be wrong."""
    try:
        answer = exercises.answer(task, {task: source})
    except Exception:  # its cell raises: the reader sees it before any check
        return "killed"
    own = exercises.variant_answer(task)
    answer = owner(answer, own.__name__ if inspect.isclass(own) else None)
    with covered(exercises.page.number):
        for reference in references(exercises.name, task):
            for one in cases_of(reference):
                if not judge(one, outcomes(answer, one.cases)).is_right:
                    return "killed"
    return "survived"


def forms_in(exercises, task, source):
    """{function: {variable: [its form in each call]}}, of an answer run on one draw."""
    seen = {}

    def watch(frame, event, arg):
        code = frame.f_code
        if event != "return" or not code.co_filename.startswith("<"):
            return
        forms = seen.setdefault(code.co_name, {})
        here = dict(frame.f_locals)
        for name, value in getattr(here.get("self"), "__dict__", {}).items():
            here[f"self.{name}"] = value
        here["return"] = arg
        for name, value in here.items():
            forms.setdefault(name, []).append(form(value))
        # Names of one object in each call so far.
        same = {n: {m for m in here if here[m] is here[n]} for n in here}
        known = forms.setdefault("is", {})
        for name, others in same.items():
            known[name] = known.get(name, others) & others

    cases = references(exercises.name, task)[0].cases
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = exercises.answer(task, {task: source})
        before = sys.getprofile()
        sys.setprofile(watch)
        try:
            for case in cases:
                with patience():
                    outcomes(owner(answer), [case])
        finally:
            sys.setprofile(before)
    return seen


@contextlib.contextmanager
def patience():
    """Lets cases run for some times as long as this one, of a right answer, and not less.

    What is right must never look endless: in a fork a case may take some times as long as here.
    """
    start = time.process_time()
    yield
    needed = PATIENCE * (time.process_time() - start)
    ending.SECONDS = min(max(ending.SECONDS, needed), READERS)


def form(value):
    """What two variables share that may be mistaken for each other: kind, shape, kind of number."""
    if isinstance(value, np.ndarray):
        return "array", value.shape, value.dtype.kind
    if isinstance(value, (np.generic, bool, int, float)):
        return type(np.asarray(value).item()).__name__, ()
    return type(value).__name__, ()
