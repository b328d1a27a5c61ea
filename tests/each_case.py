"""A Reference for each case of a Reference: `judge` holds each case for itself."""

import copy


def cases_of(reference):
    for case, expected in zip(reference.cases, reference.expected, strict=True):
        one = copy.copy(reference)
        one.cases, one.expected = [case], [expected]
        yield one
