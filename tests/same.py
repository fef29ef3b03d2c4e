"""Training writes the same file each time, to the last bit, on one thread and on two: compared by SHA-256.

Usage: same.py <a program that trains a model and writes it to the path it is given>
"""

import hashlib
import os
import subprocess
import sys
import tempfile

hashes = {}
for threads in ("1", "2"):
    for run in ("first", "second"):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            subprocess.run([sys.argv[1], path], check=True, stdout=subprocess.DEVNULL,
                           env={**os.environ, "EBB_NUM_THREADS": threads})
            with open(path, "rb") as file:
                hashes[f"EBB_NUM_THREADS={threads}, {run} time"] = hashlib.sha256(file.read()).hexdigest()

for when, digest in hashes.items():
    print(digest, when)
sys.exit(0 if len(set(hashes.values())) == 1 else "the files differ")
