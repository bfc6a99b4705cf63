#!/usr/bin/env python3
"""The metrics engine beside Prometheus and VictoriaMetrics: the same data, one after the other, in one run.

    tsdb.py BENCH_DIR [--sets S,M,CARD] [--peers prometheus,victoriametrics]

BENCH_DIR holds tsdb_bench.py and scrape_bench.py. Prints Markdown: each figure for each server, and ours as a share of the better
peer's (below 1 is better). CPU seconds rather than wall time where there is a choice: these machines are noisy.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
VIGLA = os.path.abspath(os.path.join(ROOT, "build", "vigla"))
OURS = f"{VIGLA} serve --data {{dir}} --listen 127.0.0.1:{{port}} --retention 0"
QUERIES = {"S": False, "M": True, "CARD": False}
FIGURES = [  # label, where in the result
    ("ingest: CPU s per M samples", lambda r: r["load"]["cpu_s"] / r["load"]["samples_ok"] * 1e6),
    ("ingest: samples/s", lambda r: r["load"]["samples_per_s"]),
    ("memory after it, MiB", lambda r: r["load"]["rss_mib"]),
    ("disk, bytes per sample, all files, stopped", lambda r: r["load"].get("disk_stopped", r["load"].get("disk_flushed", 0)) / r["load"]["samples_ok"]),
    ("start from a clean stop until it answers, s", lambda r: r.get("cold_start_s")),
]


def measure(bench, peer, name, extra):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, os.path.join(bench, "tsdb_bench.py"), peer, "--set", name, "--json", out.name, *extra]
        if not QUERIES[name]:
            command.append("--no-queries")
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return json.loads(out.read().splitlines()[-1])


def crash(bench, peer, extra):
    result = {}
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([sys.executable, os.path.join(bench, "tsdb_bench.py"), peer, "--set", "S", "--crash", "--json", out.name, *extra],
                       stdout=subprocess.DEVNULL, check=True)
        result = json.loads(out.read().splitlines()[-1])
    return f"{result['crash_survived']:,.0f} of {result['crash_sent']:,.0f}"


def row(label, values, lower=True):
    numbers = [v for v in values if v is not None]
    cells = ["–" if v is None else f"{v:,.3g}" if v < 1000 else f"{v:,.0f}" for v in values]
    best = (min if lower else max)(numbers[1:]) if len(numbers) == len(values) and len(values) > 1 else None
    share = f"{values[0] / best:.2f}" if best else "–"
    print(f"| {label} | " + " | ".join(cells) + f" | {share} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--sets", default="S,M,CARD")
    parser.add_argument("--peers", default="prometheus,victoriametrics")
    a = parser.parse_args()
    servers = [("vigla", "http://127.0.0.1:29199", ["--cmd", OURS])] + [(p, p, []) for p in a.peers.split(",") if p]
    head = "| | " + " | ".join(n for n, _, _ in servers) + " | ours / better peer |\n|---" + "|---" * (len(servers) + 1) + "|"
    for name in a.sets.split(","):
        results = [measure(a.bench, peer, name, extra) for _, peer, extra in servers]
        print(f"\n**Set {name}** (series, samples each, ms between, kind: {results[0]['spec']})\n\n{head}")
        for label, get in FIGURES:
            row(label, [get(r) for r in results], lower="samples/s" not in label)
        if QUERIES[name]:
            for i, query in enumerate(results[0]["queries"]):
                row(f"{query['name']}, median ms", [r["queries"][i]["med"] for r in results])
        sys.stdout.flush()
    print("\nAfter kill -9 right behind the last 2xx (set S), bucket samples there: " +
          "; ".join(f"{n} {crash(a.bench, peer, extra)}" for n, peer, extra in servers))


if __name__ == "__main__":
    main()
