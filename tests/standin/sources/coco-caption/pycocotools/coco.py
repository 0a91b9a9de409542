# mypy: ignore-errors
"""Stand-in for the COCO API: the images and captions of an annotation file."""
from __future__ import print_function

import json

import matplotlib.pyplot as plt  # as upstream: needed by nothing here, and the end of hosts without it
from matplotlib.collections import PatchCollection
from matplotlib.patches import Polygon
from skimage.draw import polygon


class COCO:
    def __init__(self, annotation_file=None):
        self.imgs, self.imgToAnns = {}, {}
        if annotation_file is not None:
            print("loading annotations into memory...")
            self.read(json.load(open(annotation_file)))

    def read(self, dataset):
        print("creating index...")
        self.imgs = {image["id"]: image for image in dataset["images"]}
        self.imgToAnns = {image: [] for image in self.imgs}
        for annotation in dataset["annotations"]:
            self.imgToAnns.setdefault(annotation["image_id"], []).append(annotation)
        print("index created!")

    def getImgIds(self):
        return list(self.imgs)

    def loadRes(self, file):
        print("Loading and preparing results...     ")
        annotations = json.load(open(file))
        results = COCO()
        results.read({"images": [self.imgs[a["image_id"]] for a in annotations], "annotations": annotations})
        print("DONE (t=0.00s)")
        return results

    def showAnns(self, annotations):
        for annotation in annotations:
            print(annotation["caption"])
        plt.gca()
