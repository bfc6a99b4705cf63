#!/usr/bin/env bash
# make bench: what is measured, and how, is in RESULTS.md. CPU seconds and ratios, for these machines are noisy.
# The comparison with Prometheus and VictoriaMetrics needs the shared benchmarks (BENCH_DIR); each takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
bench=${BENCH_DIR:-${CONFORMANCE_DIR:-../shared/conformance}/../bench}

install() {
  local sudo
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

command -v wrk >/dev/null || install wrk haproxy nginx-light
python3 tests/bench/freshness.py
if [ -e "$bench/tsdb_bench.py" ]; then
  command -v prometheus >/dev/null && command -v victoria-metrics >/dev/null || install prometheus victoria-metrics
  python3 tests/bench/tsdb.py "$bench"
  for peer in prometheus victoriametrics; do python3 "$bench/scrape_bench.py" "$peer"; done
  python3 "$bench/scrape_bench.py" http://127.0.0.1:29299 --cmd 'tests/bench/scrape_peer.sh {dir} {port}'
else
  echo "skipped: comparison with Prometheus and VictoriaMetrics: $bench is not there"
fi
if [ -e "$bench/proxy_bench.py" ]; then
  dpkg -s libnginx-mod-stream >/dev/null 2>&1 || install libnginx-mod-stream
  tests/bench/proxy.sh "$bench/proxy_bench.py"
else
  echo "skipped: comparison with HAProxy and nginx: $bench is not there"
fi
command -v clickhouse-server >/dev/null || [ -x /usr/sbin/clickhouse-server ] || install clickhouse-server clickhouse-client
command -v zstd >/dev/null || install zstd
python3 tests/bench/events.py
