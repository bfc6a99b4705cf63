#!/usr/bin/env bash
# make bench: what is measured, and how, is in RESULTS.md. CPU seconds and ratios, for these machines are noisy.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v wrk >/dev/null || {
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk haproxy nginx-light >/dev/null
}
python3 tests/bench/freshness.py
