"""Runs the tests of a file, which are its functions test_...: where the command line has words, those alone whose name
contains one of them."""
import os
import subprocess
import sys
import time
import traceback


class Skipped(Exception):
    """What the machine lacks for a test."""


def chosen(names):
    """The tests among a module's names, by name."""
    return {name[5:]: f for name, f in names.items() if name.startswith("test_") and (
        not sys.argv[1:] or any(word in name for word in sys.argv[1:]))}


def run(names, *given):
    """Calls each test with `given` and tells of it; the last line is what all.py counts. Returns whether one failed."""
    passed = failed = skipped = 0
    for name, test in chosen(names).items():
        start = time.monotonic()
        try:
            test(*given)
            passed += 1
            print(f"pass  {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Skipped as why:
            skipped += 1
            print(f"skipped: {name}: {why}", flush=True)
        except Exception:       # noqa: BLE001  each test reports by itself
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


def skip_all(names, why):
    tests = chosen(names)
    print(f"skipped: {', '.join(tests)}: {why}\n0 passed, 0 failed, {len(tests)} skipped")
    return False


def npm(folder, what):
    """Installs what package-lock.json in `folder` names, once; without npm's registry the test is skipped."""
    if os.path.exists(os.path.join(folder, "node_modules", ".package-lock.json")):
        return
    try:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True,
                       timeout=300, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.SubprocessError) as error:
        raise Skipped(f"{what} cannot be installed: {error}") from error
