# mypy: ignore-errors
"""Stand-in: scores the predictions of <argument> into <argument>_out.json; run in the folder of coco-caption."""
from __future__ import print_function

import json
import sys

from pycocotools.coco import COCO
from pycocoevalcap.eval import COCOEvalCap

given = sys.argv[1]
coco = COCO("annotations/captions_val2014.json")
known = set(coco.getImgIds())
predictions = json.load(open(given))["val_predictions"]
kept = [p for p in predictions if p["image_id"] in known]
print("using %d/%d predictions" % (len(kept), len(predictions)))
json.dump(kept, open("tmp.json", "w"))

results = coco.loadRes("tmp.json")
scorer = COCOEvalCap(coco, results)
scorer.params["image_id"] = results.getImgIds()
scorer.evaluate()
json.dump(scorer.eval, open(given + "_out.json", "w"))
