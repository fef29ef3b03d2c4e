"""One program draws the same bytes: run to run, with addresses randomised and not, on one thread and on four, and after
other graphs were made in its process.  No address stands in what it draws.

Usage: determinism.py <a program that prints pictures and traces>
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

program = sys.argv[1]


def drawn(others=0, threads="1", before=()):
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([*before, program, os.path.join(folder, "trace.json"), str(others)], check=True,
                             stdout=subprocess.PIPE, env={**os.environ, "EBB_NUM_THREADS": threads})
    return run.stdout.decode()


def fixed_addresses():
    """What to put before a command so that addresses are not randomised; nothing if that is not permitted here."""
    setarch = shutil.which("setarch")
    before = [setarch, os.uname().machine, "-R"] if setarch else []
    allowed = before and subprocess.run([*before, "true"], stderr=subprocess.DEVNULL).returncode == 0
    if not allowed:
        print("setarch -R is not there or not permitted: two ordinary runs stand in for it")
    return before if allowed else []


first = drawn()
runs = {
    "again": drawn(),
    "without randomised addresses": drawn(before=fixed_addresses()),
    "on four threads": drawn(threads="4"),
    "after 100 other graphs": drawn(others=100),
}

wrong = []
for when, text in runs.items():
    if text == first:
        print(f"{len(text)} characters, the same {when}")
        continue
    place = next(i for i, (a, b) in enumerate(zip(first + "\0", text + "\1")) if a != b)
    wrong.append(f"{when} it differs:\n  {first[max(place - 60, 0):place + 60]!r}\n  {text[max(place - 60, 0):place + 60]!r}")
addresses = re.findall(r".{0,40}0x[0-9a-fA-F]{2,}.{0,20}", first)
if addresses:
    wrong.append(f"an address: {addresses[0]!r}")
sys.exit("\n".join(wrong) or 0)
