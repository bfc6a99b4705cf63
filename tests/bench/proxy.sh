#!/usr/bin/env bash
# The proxy beside HAProxy and nginx, by the shared benchmark: proxy.sh PROXY_BENCH.PY [RUNS SECONDS SCENARIOS]
# Ours ships access logs, metrics and spans (1 % of the traces) to a server on the load's core, in every scenario.
set -euo pipefail
bench=$1 runs=${2:-3} seconds=${3:-3}
scenarios=${4:-plain,log,route,tls,tlsclose,close,mesh,meshlog,tcp,big,tcpbig,memory,tlsmemory}
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
taskset -c 1 build/vigla serve --data "$dir/data" --listen "127.0.0.1:$port" --otlp-grpc none >"$dir/server.log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$dir"' EXIT
until grep -q ^ready "$dir/server.log"; do sleep 0.1; done
VIGLA_SERVER=http://127.0.0.1:$port python3 "$bench" run --peers haproxy,nginx,custom --scenarios "$scenarios" \
  --runs "$runs" --seconds "$seconds" --json "$dir/results.json" \
  --custom-cmd 'tests/bench/proxy_peer.sh {scenario} {port} {backend} {backend_b} {backend_c} {dir}'
