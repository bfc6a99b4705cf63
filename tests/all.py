#!/usr/bin/env python3
"""Runs every suite that a developer should run, and adds up: `make test`.

    all.py [NAME...]    only the suites whose name contains one of the words

Each suite's output goes to build/test/NAME.log; the end of it is shown when something failed. Whatever failed is named
once more, in short, just before the closing line: "failed: SUITE: WHAT".

Two rows of suites run side by side. One compiles and computes, and would keep every processor busy for itself; the
other is real processes that mostly wait for each other. What computes is the nicer one, so that what waits finds the
machine as good as idle: its tests see no other times than they would alone.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

MAKE = ["make", "-s", "-j2"]
COMPUTING = [
    ("layers", MAKE + ["layers"]),
    ("unit", MAKE + ["check"]),
    ("unit-asan-ubsan", MAKE + ["check", "SAN=address,undefined"]),
    ("fuzz-corpora", MAKE + ["fuzz-corpus"]),
    ("unit-tsan", MAKE + ["check-threads"]),
    ("chaos-asan-ubsan", MAKE + ["sanitized-proxy", "TEST=chaos_test"]),
    ("http1-framing-asan-ubsan", MAKE + ["sanitized-proxy", "TEST=framing_test"]),
    ("http2-frames-asan-ubsan", MAKE + ["sanitized-proxy", "TEST=http2_rfc_test"]),
    ("http2-hosts-asan-ubsan", MAKE + ["sanitized-proxy", "TEST=http2_host_test"]),
]
WAITING = [
    ("guestbook", ["python3", "tests/e2e/guestbook_test.py"]),
    ("proxy", ["python3", "tests/e2e/proxy_test.py"]),
    ("chaos", ["python3", "tests/e2e/chaos_test.py"]),
    ("http1-framing", ["python3", "tests/e2e/framing_test.py"]),
    ("http2", ["/usr/bin/python3", "tests/e2e/http2_test.py"]),
    ("http2-frames", ["python3", "tests/e2e/http2_rfc_test.py"]),
    ("http2-hosts", ["python3", "tests/e2e/http2_host_test.py"]),
    ("proxy-tls", ["python3", "tests/e2e/tls_test.py"]),
    ("restart", ["/usr/bin/python3", "tests/e2e/restart_test.py"]),
    ("websocket-grpc", ["/usr/bin/python3", "tests/e2e/streams_test.py"]),
    ("resilience", ["python3", "tests/e2e/resilience_test.py"]),
    ("limits", ["python3", "tests/e2e/limits_test.py"]),
    ("health", ["python3", "tests/e2e/health_test.py"]),
    ("jwks", ["python3", "tests/e2e/jwks_test.py"]),
    ("logs", ["python3", "tests/e2e/logs_test.py"]),
    ("scraping", ["python3", "tests/e2e/scrape_test.py"]),
    ("grpc", ["/usr/bin/python3", "tests/e2e/grpc_test.py"]),
    ("pushing", ["python3", "tests/e2e/push_test.py"]),
    ("opentelemetry", ["python3", "tests/e2e/opentelemetry_test.py"]),
    ("senders", ["python3", "tests/e2e/senders_test.py"]),
    ("prometheus", ["python3", "tests/e2e/prometheus_test.py"]),
    ("disk-full", ["python3", "tests/e2e/disk_full_test.py"]),
    ("command-line", ["python3", "tests/e2e/cli_test.py"]),
    ("console-code", ["node", "web/test/run.mjs"]),
    ("conformance", ["python3", "tests/conformance/run.py"]),
]
COUNTS = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")
FAILED = re.compile(r"^\s*(?:failed:|FAILED|FAIL|not ok)\s+(.*)|^(.*(?:\*\*\* |error: ).*)$")
SHOWN = 60        # lines of a failed suite's log
NAMED = 8         # failures of one suite that the end names
WIDTH = 160       # of a line at the end: the whole of the end fits where only some thousand characters are kept


class Suite:
    """What a suite's run has told."""

    def __init__(self, name, command):
        self.name, self.command = name, command

    def run(self):
        path = f"build/test/{self.name}.log"
        started = time.monotonic()
        with open(path, "w", encoding="utf-8") as log:
            status = subprocess.run(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
        with open(path, encoding="utf-8", errors="replace") as log:
            self.lines = log.read().splitlines()
        self.seconds = time.monotonic() - started
        found = next((m for m in map(COUNTS.search, reversed(self.lines)) if m), None)
        self.passed, self.failed, self.skipped = (int(n or 0) for n in found.groups()) if found else (int(status == 0), 0, 0)
        if status and not self.failed:
            self.failed = 1
        return self

    def tell(self):
        print(f"{self.name:18} {self.passed:5} passed, {self.failed} failed, {self.skipped} skipped   {self.seconds:6.1f} s",
              flush=True)
        if self.failed:
            print("\n".join("    " + line for line in self.lines[-SHOWN:]), flush=True)
        skipped = [line[len("skipped:"):].strip() for line in self.lines if line.startswith("skipped:")]
        if skipped:
            print(shortened("    skipped: " + "; ".join(skipped)), flush=True)

    def failures(self):
        found = [next(filter(None, m.groups()), "") for m in map(FAILED.match, self.lines) if m] or self.lines[-1:]
        named = [shortened(f"failed: {self.name}: {what}") for what in found[:NAMED]]
        if len(found) > NAMED:
            named.append(f"failed: {self.name}: and {len(found) - NAMED} more: build/test/{self.name}.log")
        return named or [f"failed: {self.name}: it said nothing"]


def shortened(line):
    return line if len(line) <= WIDTH else line[:WIDTH - 4] + " ..."


def run_row(row, prefix, words):
    """The suites of one row, one after the other."""
    done = []
    for name, command in row:
        if not words or any(word in name for word in words):
            done.append(Suite(name, prefix + command).run())
            done[-1].tell()
    return done


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    os.makedirs("build/test", exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        rows = [pool.submit(run_row, COMPUTING, ["nice", "-n", "10"], sys.argv[1:]),
                pool.submit(run_row, WAITING, [], sys.argv[1:])]
        suites = [suite for row in rows for suite in row.result()]
    for suite in suites:
        if suite.failed:
            print("\n".join(suite.failures()))
    totals = [sum(getattr(suite, what) for suite in suites) for what in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
