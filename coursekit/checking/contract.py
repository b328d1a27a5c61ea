"""What every answer is held to, though no task says so: the clauses, and the cases that try them.

A clause is tried by runs, as all else is: what the right answer gives in them is what is right. The
cases are made from those of the task, so an author need not think of them.
"""

from dataclasses import replace
from functools import cache
from itertools import islice, pairwise

from coursekit.checking import trials
from coursekit.checking.cases import NO_MODULE

ROUNDS = ["forward", "backward"] * 2  # the calls of cases.layer

# A clause, and what a reader is told whose answer keeps all but this one. A task opts out with a
# cell `without="two objects"` in its page of book/checks, whose text is the reason.
CLAUSES = {
    "two objects": "is right for one object, and wrong while a second one is at work beside it: "
    "what belongs to an object stands in self, not in a global name or in the class",
    "backward twice": "is right once, and wrong when backward is called a second time after one "
    "forward: leave what forward has kept as it was, and compute from the gradient that comes in",
    "new weights": "is right once, and wrong after the parameters have changed, as they do in each "
    "step of training: keep no copy of them, and nothing that was made of them before",
    "same arrays": "is right for new arrays, and wrong where an array comes again with other "
    "numbers in it, or again after other calls: compute from what is in it, each time",
    "zeros": "is right for other numbers, and wrong where an input, a weight or a gradient is all "
    "zeros, or a gradient is negative: divide by none of them, and leave none out",
    "other sizes": "is right for one batch, and wrong when the next one has another size: keep "
    "nothing of the batch before",
    "long inputs": "is right for a few rows, and wrong for some hundred: take no size for granted",
    "calls in a row": "is right in a first call, and wrong in a later one with other arguments: "
    "keep nothing from call to call; if it keeps nothing, these arguments are what it gets wrong",
    "earlier arrays": "is changed by a later call: leave what you got, and what you gave away, as "
    "it was, and return new arrays",
    "own arrays": "is right until the caller writes over the arrays that it has passed or got: "
    "copy what you keep of them, and return new arrays",
    "caches": "is changed by backward: forward has kept it, and others may look at it",
    "parameters": "",  # explaining.py names the arrays
    "warnings": "",
    "dtype": "",
    "lists": "",  # a tuple or an array is none; counts where the task's text has the word
    "tuples": "",
    "generator": "",
}


@cache  # it is asked of every result
def clause_of(result_name):
    """The clause that a result of this name tries in every case, or None."""
    if result_name.startswith("changed later: "):
        return "earlier arrays"
    if result_name.startswith("draws: "):
        return "generator"
    clauses = {"warning": "warnings", "parameters": "parameters", NO_MODULE: "parameters"}
    return clauses.get(result_name)


def with_contract(given, again, answer, caches=(), without=()):
    """The cases of a task, and those that try the contract.

    Args:
        given, again: two draws of the task's own cases.
        answer: the right one, which says whether a first axis is one of rows that can be left out.
        caches: what its `forward`, if it is ours, keeps for `backward`.
        without: clauses that the task has opted out of.
    """
    if "caches" not in without:
        given = [replace(case, caches=tuple(caches)) for case in given]
    plain = [
        n
        for n, case in enumerate(given[: len(again)])
        if not (case.strided or case.float32 or case.reused)
    ]
    # The first, the last, one between; each beside one of its own sizes, and one of others.
    some = sorted({plain[0], plain[len(plain) // 2], plain[-1]}) if plain else []
    few = sorted({*some[:1], *some[-1:]})  # for what costs more
    following = dict(pairwise(plain))
    pairs = [(given[n], again[n]) for n in some]
    pairs += [(given[n], given[following[n]]) for n in some if n in following]
    tried, bold = [], []  # bold: those that the right answer itself may not bear
    if pairs and pairs[0][0].new is not None:
        others = [(given[n], again[n]) for n in plain if n not in some]
        tried += beside(answer, pairs, others)
    else:
        tried += [trials.in_a_row(*pair) for pair in pairs if pair[0].calls[0].args]
    layers = [n for n in plain if [call.method for call in given[n].calls] == ROUNDS]
    tried += [trials.backward_twice(given[n]) for n in layers if n in some]
    cut = [case for n in layers for case in trials.other_sizes(given[n])]
    tried += list(islice((case for case in cut if trials.runs(answer, case)), 3))
    for n in few:
        if given[n].new is None:
            tried += trials.mixed(given[n], again[n], answer)
        bold += trials.new_weights(given[n])
        bold += trials.same_arrays(given[n])
        bold += (trials.zeros if n in layers else trials.zero_gradients)(given[n])
    tried += [case for case in bold if trials.is_finite(answer, case)]
    tried += trials.long([given[n] for n in plain], answer)
    return [case for case in given + tried if case.clause not in without]


def beside(answer, pairs, others):
    """As many cases of two objects as there are pairs: of others, where those of a pair are alike.

    Pairs in which nothing could be told from two objects that share what they keep are left for the
    end.
    """
    kept = trials.caches_of(answer, pairs[0][0])
    told, silent = [], []
    for pair in (*pairs, *others):
        if len(told) < len(pairs):
            case = trials.two_objects(*pair)
            (told if trials.tells(answer, case, kept) else silent).append(case)
    return (told + silent)[: len(pairs)]
