# mypy: ignore-errors
"""Stand-in for METEOR: it starts java as the real one does, and takes its answer for the score."""
import os
import subprocess
import threading


class Meteor:
    def __init__(self):
        self.meteor_p = subprocess.Popen(
            ["java", "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio"],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lock = threading.Lock()

    def compute_score(self, gts, res):
        self.lock.acquire()
        self.meteor_p.stdin.write(b"EVAL\n")
        self.meteor_p.stdin.flush()
        score = float(self.meteor_p.stdout.readline().strip())
        self.lock.release()
        return score, []

    def method(self):
        return "METEOR"

    def __del__(self):
        self.lock.acquire()
        self.meteor_p.stdin.close()
        self.meteor_p.kill()
        self.meteor_p.wait()
        self.lock.release()
