#!/usr/bin/env python3
"""Runs test programs and adds up what they say.

    run.py [--label NAME] [--jobs N] PROGRAM...

A program's own count is read from its last line that has one: Check's "98%: Checks: 50, Failures: 1, Errors: 0" or
"N passed, N failed, N skipped". A program without one counts as one test by its exit status. What a failing program
printed is shown; the last line is "NAME: N passed, N failed, N skipped".
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

CHECK = re.compile(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)")
PLAIN = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")


def count(output, status):
    for line in reversed(output.splitlines()):
        if found := PLAIN.search(line):
            passed, failed, skipped = (int(n or 0) for n in found.groups())
            break
        if found := CHECK.search(line):
            checks, failures, errors = (int(n) for n in found.groups())
            passed, failed, skipped = checks - failures - errors, failures + errors, 0
            break
    else:
        passed, failed, skipped = int(status == 0), int(status != 0), 0
    return passed, failed + int(status != 0 and failed == 0), skipped


def run(program, timeout):
    environment = dict(os.environ)
    environment.setdefault("CK_DEFAULT_TIMEOUT", "120")  # for a test that hangs, not for one on a slow machine
    if "address" in program or "thread" in program:
        environment.setdefault("CK_FORK", "no")
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        environment.setdefault("TSAN_OPTIONS", "halt_on_error=0:exitcode=66")
    started = time.monotonic()
    try:
        done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              env=environment, stdin=subprocess.DEVNULL)
        output, status = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as over:
        output, status = (over.stdout or b"").decode(errors="replace") + f"\nno end within {timeout} s\n", 1
    return output, status, time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--label", default="tests")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()
    totals = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [(p, pool.submit(run, p, arguments.timeout)) for p in arguments.programs]
        for program, future in runs:
            output, status, seconds = future.result()
            counts = count(output, status)
            totals = [a + b for a, b in zip(totals, counts)]
            if counts[1]:
                print(f"--- {program} (exit {status}, {seconds:.1f} s)\n{output.rstrip()}\n---")
    print("{}: {} passed, {} failed, {} skipped".format(arguments.label, *totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
