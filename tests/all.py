#!/usr/bin/env python3
"""Runs every suite that a developer should run, one after the other, and adds up: `make test`.

    all.py [NAME...]    only the suites whose name contains one of the words

Each suite's output goes to build/test/NAME.log; the end of it is shown when something failed.
"""
import os
import re
import subprocess
import sys
import time

MAKE = ["make", "-s", "-j2"]
SUITES = [
    ("layers", MAKE + ["layers"]),
    ("unit", MAKE + ["check"]),
    ("unit-asan-ubsan", MAKE + ["check", "SAN=address,undefined"]),
    ("unit-tsan", MAKE + ["check", "SAN=thread", "UNIT=store query collector api proxy"]),  # those that have threads
    ("fuzz-corpora", MAKE + ["fuzz-corpus"]),
    ("console-code", ["node", "web/test/run.mjs"]),
    ("command-line", ["python3", "tests/e2e/cli_test.py"]),
    ("proxy", ["python3", "tests/e2e/proxy_test.py"]),
    ("guestbook", ["python3", "tests/e2e/guestbook_test.py"]),
    ("logs", ["python3", "tests/e2e/logs_test.py"]),
    ("scraping", ["python3", "tests/e2e/scrape_test.py"]),
    ("grpc", ["/usr/bin/python3", "tests/e2e/grpc_test.py"]),
    ("pushing", ["python3", "tests/e2e/push_test.py"]),
    ("opentelemetry", ["python3", "tests/e2e/opentelemetry_test.py"]),
    ("senders", ["python3", "tests/e2e/senders_test.py"]),
    ("prometheus", ["python3", "tests/e2e/prometheus_test.py"]),
    ("disk-full", ["python3", "tests/e2e/disk_full_test.py"]),
    ("conformance", ["python3", "tests/conformance/run.py"]),
]
COUNTS = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")


def run(name, command):
    os.makedirs("build/test", exist_ok=True)
    path = f"build/test/{name}.log"
    started = time.monotonic()
    with open(path, "w", encoding="utf-8") as log:
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
    with open(path, encoding="utf-8", errors="replace") as log:
        lines = log.read().splitlines()
    found = next((m for m in map(COUNTS.search, reversed(lines)) if m), None)
    passed, failed, skipped = (int(n or 0) for n in found.groups()) if found else (int(status == 0), int(status != 0), 0)
    if status and not failed:
        failed = 1
    print(f"{name:18} {passed:5} passed, {failed} failed, {skipped} skipped   {time.monotonic() - started:6.1f} s",
          flush=True)
    if failed:
        print("\n".join("    " + line for line in lines[-60:]), flush=True)
    for line in lines:
        if line.startswith("skipped:"):
            print("    " + line, flush=True)
    return passed, failed, skipped


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    words = sys.argv[1:]
    totals = [0, 0, 0]
    for name, command in SUITES:
        if not words or any(word in name for word in words):
            totals = [a + b for a, b in zip(totals, run(name, command))]
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
