#!/usr/bin/env python3
"""Prints the unit tests in which threads may run, for ThreadSanitizer: the others have nothing for it to see.

A test is one of them if it, or a header of the tests that it includes, starts threads or a store, which has some.
"""
import glob
import os
import re

FOLDERS = ("base", "store", "query", "collector", "api", "proxy")
STARTS = re.compile(r"pthread_create|\bcrew_|\bstore_open|\b(?:admin|fake_server|scraper|server|telemetry)_start|\bevents_tally|\bnames_new")
INCLUDES = re.compile(r'^#include "(tests/[^"]+)"', re.M)


def starts_threads(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return STARTS.search(text) is not None or any(starts_threads(header) for header in INCLUDES.findall(text))


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    tests = sorted(test for folder in FOLDERS for test in glob.glob(f"tests/unit/{folder}/*_test.c"))
    print(" ".join(test for test in tests if starts_threads(test)))


if __name__ == "__main__":
    main()
