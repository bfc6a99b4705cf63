#!/usr/bin/env python3
"""Runs test programs and adds up what they say.

    run.py [--label NAME] [--jobs N] PROGRAM...

A program's own count is read from its last line that has one: Check's "98%: Checks: 50, Failures: 1, Errors: 0" or
"N passed, N failed, N skipped". A program without one counts as one test by its exit status. What a failing program
printed is shown as soon as it ended. At the end come the seconds of the programs that took longest, a line
"failed: PROGRAM: WHY" for each thing that failed, and "NAME: N passed, N failed, N skipped".

Programs run side by side, so the longest must not begin last: they begin in the order of the seconds that they took
when they last ran, in whatever build (a sanitizer's is slower, but by much the same for all); before them those that
never ran, the longest source first.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import time

CHECK = re.compile(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)")
PLAIN = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")
# Why a program failed, in its own words: Check's line of a test, or a sanitizer's summary.
REASON = re.compile(r"^(?:(\S+:\d+:[FE]:.*)|(SUMMARY: .*)|(.*runtime error: .*)|(no end within .*))$")
SECONDS = "build/test/seconds.json"  # {a program's path in the plain build: seconds}
SLOWEST = 15                         # programs whose seconds are told


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


def reasons(output, status):
    found = [line.strip() for line in output.splitlines() if REASON.match(line.strip())]
    return found or [signal.Signals(-status).name if status < 0 else f"exit {status}"]


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
        output, status = (over.stdout or b"").decode(errors="replace") + f"\nno end within {timeout:g} s\n", 1
    return output, status, time.monotonic() - started


def name(program):
    """The same for every build of a program."""
    return re.sub(r"^build/[^/]+/tests/", "build/tests/", program)


def known_seconds():
    try:
        with open(SECONDS, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def in_order(programs):
    known = known_seconds()

    def key(program):
        source = re.sub(r"^build/", "", name(program)) + ".c"
        return known.get(name(program), float("inf")), os.path.getsize(source) if os.path.exists(source) else 0
    return sorted(programs, key=key, reverse=True)


def remember(took):
    os.makedirs(os.path.dirname(SECONDS), exist_ok=True)
    known = {**known_seconds(), **{name(program): round(seconds, 2) for program, seconds in took.items()}}
    with open(SECONDS + ".new", "w", encoding="utf-8") as f:
        json.dump(known, f, indent=0, sort_keys=True)
    os.replace(SECONDS + ".new", SECONDS)


def tell_slowest(took):
    for program, seconds in sorted(took.items(), key=lambda item: -item[1])[:SLOWEST]:
        print(f"{seconds:7.1f} s  {program}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--label", default="tests")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()
    totals, took, failures = [0, 0, 0], {}, []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {pool.submit(run, program, arguments.timeout): program for program in in_order(arguments.programs)}
        for future in concurrent.futures.as_completed(runs):
            program, (output, status, seconds) = runs[future], future.result()
            counts = count(output, status)
            totals = [a + b for a, b in zip(totals, counts)]
            took[program] = seconds
            if counts[1]:
                failures += [f"failed: {program}: {why}" for why in reasons(output, status)]
                print(f"--- {program} (exit {status}, {seconds:.1f} s)\n{output.rstrip()}\n---", flush=True)
    remember(took)
    tell_slowest(took)
    print("".join(line + "\n" for line in failures), end="")
    print("{}: {} passed, {} failed, {} skipped".format(arguments.label, *totals))
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
