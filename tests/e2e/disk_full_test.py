#!/usr/bin/env python3
"""A full disk: writes are refused with 503, what is stored stays readable, and it goes on when there is space again.

Needs a small file system of its own (tmpfs, root); skipped by name where that cannot be had.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from mesh import Server

MIB = 1 << 20
SIZE = 24 * MIB
START_MS = 1_700_000_000_000


def batch(number, series=2000):
    """One OTLP gauge with a point for each series, at a time of the batch's own; values that do not compress away."""
    points = [{"attributes": [{"key": "i", "value": {"stringValue": str(k)}}], "timeUnixNano": str((START_MS + number * 1000) * 1_000_000),
               "asDouble": ((number * 7919 + k * 104729) % 1_000_003) / 7} for k in range(series)]
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "filling", "gauge": {"dataPoints": points}}]}]}]})


def write(server, number):
    return server.call("POST", "/v1/metrics", batch(number), {"Content-Type": "application/json"})


def count(server, written):
    seconds = START_MS // 1000 + written + 1
    result = server.get("/api/v1/query", query=f"sum(count_over_time(filling[{written + 2}s]))", time=seconds)["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def fill(server, number):
    """Batches until one is refused; returns the first number that was."""
    for _ in range(3000):
        status, headers, body = write(server, number)
        if status != 200:
            assert status == 503, (status, body)
            assert "Retry-After" in headers and body, (headers, body)
            return number
        number += 1
    raise AssertionError("the disk did not fill")


def scenario(folder):
    ballast = os.path.join(folder, "ballast")
    with open(ballast, "wb") as f:
        f.write(b"\0" * (12 * MIB))
    server = Server(folder)
    try:
        stopped = fill(server, 1)
        assert stopped > 3, "no batch was stored at all"
        assert count(server, stopped) == (stopped - 1) * 2000
        assert server.call("GET", "/-/healthy")[0] == 200
        os.remove(ballast)
        deadline = time.monotonic() + 30
        while write(server, stopped)[0] != 200:
            assert time.monotonic() < deadline, "still refused with space on the disk"
            time.sleep(0.2)
        assert count(server, stopped) == stopped * 2000
        server.kill_and_restart()
        assert count(server, stopped) == stopped * 2000
        print(f"    {stopped} batches of 2,000 samples; one refused and sent again")
    finally:
        server.process.stop()


def main():
    with tempfile.TemporaryDirectory(prefix="vigla-full-") as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], stderr=subprocess.DEVNULL).returncode == 0
        if not mounted:
            print("skipped: disk full: no tmpfs can be mounted here\n0 passed, 0 failed, 1 skipped")
            return 0
        try:
            scenario(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    print("1 passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
