# mypy: ignore-errors
"""Stand-in for BLEU: the share of a caption's words that stand in its references."""
from ..overlap import mean, ngram_precision


class Bleu:
    def __init__(self, n=4):
        self.n = n

    def compute_score(self, gts, res):
        return [mean(gts, res, lambda said, truths: ngram_precision(said, truths, n + 1)) for n in range(self.n)], []

    def method(self):
        return "Bleu"
