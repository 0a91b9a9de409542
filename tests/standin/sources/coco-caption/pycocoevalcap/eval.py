# mypy: ignore-errors
"""Stand-in for the scorers: their names, their lines and simple overlaps of words behind them (no java)."""
from __future__ import division, print_function

from .overlap import longest_common, ngram_precision, shared


class COCOEvalCap:
    def __init__(self, coco, cocoRes):
        self.coco, self.cocoRes = coco, cocoRes
        self.eval = {}
        self.params = {"image_id": coco.getImgIds()}

    def pairs(self):
        for image in self.params["image_id"]:
            truths = [a["caption"].split() for a in self.coco.imgToAnns[image]]
            for annotation in self.cocoRes.imgToAnns[image]:
                yield annotation["caption"].split(), truths

    def mean(self, score):
        values = [score(said, truths) for said, truths in self.pairs()]
        return sum(values) / len(values) if values else 0.0

    def evaluate(self):
        print("tokenization...")
        print("setting up scorers...")
        scorers = [("Bleu_%d" % n, lambda said, truths, n=n: ngram_precision(said, truths, n)) for n in (1, 2, 3, 4)]
        scorers += [("METEOR", shared), ("ROUGE_L", longest_common), ("CIDEr", lambda s, t: 2 * shared(s, t) ** 2)]
        for name, score in scorers:
            print("computing %s score..." % name.split("_")[0])
            self.eval[name] = round(self.mean(score), 3)
            print("%s: %0.3f" % (name, self.eval[name]))
