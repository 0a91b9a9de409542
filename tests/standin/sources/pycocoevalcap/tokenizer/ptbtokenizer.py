# mypy: ignore-errors
"""Stand-in for the tokenizer: words in small letters. Like the real one it calls java, beside its own program."""
import os
import subprocess
import tempfile


class PTBTokenizer:
    def tokenize(self, captions_for_image):
        images = [image for image, captions in captions_for_image.items() for _ in captions]
        sentences = "\n".join(entry["caption"] for captions in captions_for_image.values() for entry in captions)
        place = os.path.dirname(os.path.abspath(__file__))
        with tempfile.NamedTemporaryFile(dir=place) as file:
            file.write(sentences.encode())
            file.flush()
            code = subprocess.call(["java", "-cp", "stanford-corenlp-3.4.1.jar", os.path.basename(file.name)], cwd=place)
        lines = [] if code else [" ".join(line.lower().split()).strip(" .") for line in sentences.split("\n")]
        found = {}
        for image, line in zip(images, lines):
            found.setdefault(image, []).append(line)
        return found
