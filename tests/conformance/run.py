#!/usr/bin/env python3
"""Runs the shared conformance suites that this version claims to pass, where they are present.

CONFORMANCE_DIR (default ../shared/conformance) holds the suites; without it each is skipped by name.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DATA = os.path.abspath(os.path.join(ROOT, os.environ.get("CONFORMANCE_DIR", "../shared/conformance")))
BUILD = os.path.join(ROOT, "build")
SUITES = [
    ("istio-routing", "istio-routing/run.py", ["--proxy", os.path.join(BUILD, "vigla-proxy")]),
]
COUNTS = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")


def main():
    totals = [0, 0, 0]
    for name, script, arguments in SUITES:
        path = os.path.join(DATA, script)
        if not os.path.exists(path):
            print(f"skipped: {name}: {path} is not there")
            totals[2] += 1
            continue
        done = subprocess.run([sys.executable, path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=1200)
        found = COUNTS.findall(done.stdout)
        counts = [int(n or 0) for n in found[-1]] if found else [0, 1, 0]
        print("\n".join("    " + line for line in done.stdout.splitlines()[-25:]))
        print(f"{name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
        totals = [a + b for a, b in zip(totals, counts)]
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
