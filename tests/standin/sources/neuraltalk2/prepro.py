# mypy: ignore-errors
"""Stand-in for neuraltalk2's preprocessing: a raw JSON of captions and the images' folder in, HDF5 and JSON out.

Like upstream's it wants h5py, numpy and a scipy that still has misc.imread. (Unlike upstream's it runs under
Python 3 as well.)
"""
from __future__ import print_function

import argparse
import json
import os
import random
import string
import sys

import h5py
import numpy as np
from scipy.misc import imread, imresize


def words(text):
    return "".join(c for c in text.lower() if c not in string.punctuation).split()


def vocabulary(images, threshold):
    counts = {}
    for image in images:
        for caption in image["captions"]:
            for word in words(caption):
                counts[word] = counts.get(word, 0) + 1
    vocab = sorted(word for word, count in counts.items() if count > threshold)
    print("number of words in vocab would be %d" % len(vocab))
    if len(vocab) < len(counts):
        print("inserting the special UNK token")
        vocab.append("UNK")
    return vocab


def encode(images, vocab, length):
    number = {word: i + 1 for i, word in enumerate(vocab)}
    labels, lengths, first, last = [], [], [], []
    for image in images:
        first.append(len(labels) + 1)
        for caption in image["captions"]:
            codes = [number.get(word, number.get("UNK", 0)) for word in words(caption)][:length]
            lengths.append(len(codes))
            labels.append(codes + [0] * (length - len(codes)))
        last.append(len(labels))
    print("encoded captions to array of size ", (len(labels), length))
    return labels, lengths, first, last


def picture(path):
    pixels = imresize(imread(path), (256, 256))
    if len(pixels.shape) == 2:
        pixels = np.stack((pixels,) * 3, axis=2)
    return pixels.transpose(2, 0, 1)


def main(params):
    images = json.load(open(params.input_json))
    random.seed(123)
    random.shuffle(images)
    vocab = vocabulary(images, params.word_count_threshold)
    for i, image in enumerate(images):
        image["split"] = "val" if i < params.num_val else "test" if i < params.num_val + params.num_test else "train"
    print("assigned %d to val, %d to test." % (params.num_val, params.num_test))
    labels, lengths, first, last = encode(images, vocab, params.max_length)

    with h5py.File(params.output_h5, "w") as out:
        for name, data in (("labels", labels), ("label_length", lengths), ("label_start_ix", first), ("label_end_ix", last)):
            out.create_dataset(name, dtype="uint32", data=np.array(data, dtype="uint32"))
        pixels = out.create_dataset("images", (len(images), 3, 256, 256), dtype="uint8")
        for i, image in enumerate(images):
            pixels[i] = picture(os.path.join(params.images_root, image["file_path"]))
            if i % 1000 == 0:
                print("processing %d/%d (%.2f%% done)" % (i, len(images), i * 100.0 / len(images)))
    print("wrote ", params.output_h5)
    listed = [{key: image[key] for key in ("split", "file_path", "id") if key in image} for image in images]
    itow = {i + 1: word for i, word in enumerate(vocab)}
    json.dump({"ix_to_word": itow, "images": listed}, open(params.output_json, "w"))
    print("wrote ", params.output_json)


if __name__ == "__main__":
    sys.stderr.write("stand-in: tests/standin, not upstream code\n")
    parser = argparse.ArgumentParser()
    parser.add_argument("--input_json", required=True, help="input json file to process into hdf5")
    parser.add_argument("--num_val", required=True, type=int, help="number of images to assign to validation data")
    parser.add_argument("--output_json", default="data.json", help="output json file")
    parser.add_argument("--output_h5", default="data.h5", help="output h5 file")
    parser.add_argument("--max_length", default=16, type=int, help="max length of a caption, in number of words")
    parser.add_argument("--images_root", default="", help="root location in which images are stored")
    parser.add_argument("--word_count_threshold", default=5, type=int, help="rarer words are left out of the vocab")
    parser.add_argument("--num_test", default=0, type=int, help="number of test images")
    arguments = parser.parse_args()
    print("parsed input parameters:")
    print(json.dumps(vars(arguments), indent=2))
    main(arguments)
