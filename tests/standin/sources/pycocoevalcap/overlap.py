# mypy: ignore-errors
"""Stand-in: how much of a caption stands in its references, 0 to 1."""
from __future__ import division


def ngram_precision(said, truths, n):
    grams = [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
    known = {tuple(truth[i : i + n]) for truth in truths for i in range(len(truth) - n + 1)}
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def shared(said, truths):
    best = 0.0
    for truth in truths:
        both = len(set(said) & set(truth))
        best = max(best, 2 * both / max(1, len(set(said)) + len(set(truth))))
    return best


def longest_common(said, truths):
    best = 0.0
    for truth in truths:
        row = [0] * (len(truth) + 1)
        for word in said:
            previous = row[:]
            for i, other in enumerate(truth):
                row[i + 1] = previous[i] + 1 if word == other else max(previous[i + 1], row[i])
        best = max(best, row[-1] / max(1, len(truth)))
    return best


def mean(gts, res, score):
    values = [score(res[image][0].split(), [truth.split() for truth in gts[image]]) for image in res]
    return sum(values) / len(values)
