#!/usr/bin/env bash
# Our server as the peer of the shared scrape_bench.py, which writes its configuration where only the newest one can be told:
#   scrape_bench.py http://127.0.0.1:PORT --cmd 'tests/bench/scrape_peer.sh {dir} {port}'
set -euo pipefail
config=$(ls -td "${TMPDIR:-/tmp}"/scrape_*/prom.yml | head -n 1)
exec "$(dirname "$0")/../../build/vigla" serve --config "$config" --data "$1" --listen "127.0.0.1:$2"
