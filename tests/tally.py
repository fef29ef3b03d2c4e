"""Counts what `meson test` ran: the last line is `N passed, N failed`.

tally.py testlog.json status: Meson's log and its exit status.  A doctest program counts its test cases, any other test
counts as one.  A program that failed without a failed case (it crashed, leaked or hung) counts as one failure.
"""
import json
import re
import sys

CASES = re.compile(r"\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed")


def tally(records):
    passed = failed = 0
    for record in records:
        good = record["result"] in ("OK", "EXPECTEDFAIL")
        cases = CASES.findall(record.get("stdout", ""))
        if record["result"] == "SKIP":
            continue
        if cases:
            passed += sum(int(p) for p, f in cases)
            failed += sum(int(f) for p, f in cases)
            failed += not good and not any(int(f) for p, f in cases)
        else:
            passed += good
            failed += not good
    return passed, failed


def main():
    log, status = sys.argv[1], int(sys.argv[2])
    try:
        with open(log, encoding="utf-8", errors="replace") as lines:
            passed, failed = tally(json.loads(line) for line in lines if line.strip())
    except OSError:
        passed, failed = 0, 0
    if not passed + failed:
        print("no test ran")
    if not failed and (status or not passed):
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
