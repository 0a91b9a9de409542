"""docs/metrics.md: every number of its examples, computed from its table of captions by the formulas themselves."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pytest

from neuraltalk_provision import paths

DOC = (paths.share() / "docs" / "metrics.md").read_text(encoding="utf-8")
FLAT = " ".join(DOC.split())
Words = Sequence[str]
Picture = tuple[Words, list[Words]]


def pictures() -> list[Picture]:
    """(caption, references) of each row of the table of captions."""
    rows = re.findall(r"^\| \d+ \| (.*) \|$", DOC, re.M)
    return [(cells[0].split(), [cell.split() for cell in cells[1:]]) for cells in (row.split(" | ") for row in rows)]


def sequences(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(of: Sequence[Picture]) -> list[float]:
    """BLEU-1 to BLEU-4: shares of sequences, counted over all pictures, and the punishment for short captions."""
    shares = []
    for n in range(1, 5):
        right = total = 0
        for said, truths in of:
            most: Counter[tuple[str, ...]] = Counter()
            for truth in truths:
                most |= sequences(truth, n)
            right += (sequences(said, n) & most).total()
            total += sequences(said, n).total()
        shares.append((right + 1e-15) / (total + 1e-9))  # as the scorer has it, so that nothing is divided by 0
    length = sum(len(said) for said, _ in of)
    wanted = sum(min((abs(len(t) - len(said)), len(t)) for t in truths)[1] for said, truths in of)
    short = math.exp(min(0, 1 - wanted / length))
    return [short * math.prod(shares[:n]) ** (1 / n) for n in range(1, 5)]


def common(one: Words, other: Words) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = row[:]
        for i, second in enumerate(other):
            row[i + 1] = before[i] + 1 if word == second else max(before[i + 1], row[i])
    return row[-1]


def rouge(said: Words, truths: Sequence[Words]) -> float:
    precision = max(common(said, truth) / len(said) for truth in truths)
    recall = max(common(said, truth) / len(truth) for truth in truths)
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)


def weight(sequence: tuple[str, ...], of: Sequence[Picture]) -> float:
    having = sum(any(sequence in sequences(truth, len(sequence)) for truth in truths) for _, truths in of)
    return math.log(len(of) / max(1, having))


def cider(said: Words, truths: Sequence[Words], of: Sequence[Picture]) -> float:
    total = 0.0
    for truth in truths:
        for n in range(1, 5):
            one, two = (
                {sequence: count * weight(sequence, of) for sequence, count in sequences(words, n).items()}
                for words in (said, truth)
            )
            # A sequence of the caption counts no more than the reference has it.
            both = sum(min(value, two.get(key, 0)) * two.get(key, 0) for key, value in one.items())
            lengths = norm(one) * norm(two)
            total += both / lengths * math.exp(-((len(said) - len(truth)) ** 2) / (2 * 6**2)) if lengths else 0
    return 10 * total / len(truths) / 4


def norm(vector: Mapping[tuple[str, ...], float]) -> float:
    return math.sqrt(sum(value**2 for value in vector.values()))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def of_each(name: str, score: Callable[[Words, Sequence[Words]], float]) -> str:
    """The line of the document with a score of each picture and of all."""
    told = [score(said, truths) for said, truths in pictures()]
    each = "; ".join(f"picture {number}: {name} {value:.3f}" for number, value in enumerate(told, 1))
    return f"> {each}; all pictures: {name} {mean(told):.3f}"


def of_bleu(values: Sequence[float]) -> str:
    return ", ".join(f"BLEU-{n} {value:.3f}" for n, value in enumerate(values, 1))


def test_there_are_three_pictures_with_two_references() -> None:
    assert [len(truths) for _, truths in pictures()] == [2, 2, 2]


def test_bleu_is_what_its_formula_gives() -> None:
    assert f"> picture 1: {of_bleu(bleu(pictures()[:1]))}\n" in DOC
    assert f"> all pictures: {of_bleu(bleu(pictures()))}\n" in DOC


def test_rouge_is_what_its_formula_gives() -> None:
    assert of_each("ROUGE_L", rouge) in DOC
    (said, truths), *_ = pictures()
    assert f"recall R = {common(said, truths[1]) / len(truths[1]):.3f}" in FLAT
    assert f"precision P = {common(said, truths[1]) / len(said):.3f}" in FLAT


def test_cider_is_what_its_formula_gives() -> None:
    assert of_each("CIDEr", lambda said, truths: cider(said, truths, pictures())) in DOC
    for word in ("a", "on", "cat"):
        assert re.search(rf"`{word}`[^`]*weighs {weight((word,), pictures()):.3f}\b", FLAT), word


def test_one_sentence_for_all_pictures_is_found_out_as_it_says() -> None:
    said = "a man on a bike".split()
    assert f"says `{' '.join(said)}` of every picture" in FLAT
    same: list[Picture] = [(said, truths) for _, truths in pictures()]
    values = (
        bleu(same)[0],
        mean([rouge(said, truths) for _, truths in same]),
        mean([cider(said, truths, same) for _, truths in same]),
    )
    line = "BLEU-1 {:.3f}, ROUGE_L {:.3f}, CIDEr {:.3f}".format(*values)
    assert f"> the same sentence for all: {line}\n" in DOC


def test_loss_and_perplexity_are_what_their_formula_gives() -> None:
    terms = [-math.log(p) for p in (0.5, 0.25, 0.125)]
    sum_of = " + ".join(f"{term:.3f}" for term in terms)
    loss = mean(terms)
    assert f"the loss ({sum_of}) / 3 = {loss:.3f} and the perplexity {math.exp(loss):.1f}" in FLAT
    assert f"After one epoch it is 2.7, perplexity {math.exp(2.7):.1f}" in FLAT
    assert f"2.442, perplexity {math.exp(2.4419743700307):.1f}" in FLAT
    assert f"9.179654, perplexity {math.exp(9.179654):.0f}" in FLAT


def test_a_third_of_the_validation_is_scored() -> None:
    share = 40504 / (82783 + 40504)
    assert f"{share:.0%}".replace("%", " %") in FLAT
    assert f"Of 3,200 about {3200 * share:,.0f} count" in FLAT


@pytest.mark.parametrize(
    ("name", "value"), [("BLEU-4", 0.22), ("METEOR", 0.208), ("ROUGE_L", 0.473), ("CIDEr", 0.695), ("BLEU-1", 0.642)]
)
def test_seeds_scores_stand_in_their_columns(name: str, value: float) -> None:
    head = next(line for line in DOC.splitlines() if line.startswith("| BLEU-1 |"))
    row = DOC.splitlines()[DOC.splitlines().index(head) + 2]
    assert dict(zip(head.split("|"), row.split("|"), strict=True))[f" {name} "] == f" {value:.3f} "
