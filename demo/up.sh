#!/usr/bin/env bash
# Starts the server, the guestbook mesh and gentle traffic, prints where to look, and stops it all at Ctrl-C.
#
#   demo/up.sh          in the foreground until Ctrl-C or demo/up.sh down
#   demo/up.sh down     stops what an up in this folder started
#
# VIGLA_LISTEN (127.0.0.1:20001), GATEWAY_PORT (8080), VIGLA_UP (build/up: data, logs) and BUILD (build) may be set.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build}
listen=${VIGLA_LISTEN:-127.0.0.1:20001}
gateway=${GATEWAY_PORT:-8080}
state=${VIGLA_UP:-build/up}
server=http://$listen
children=()

say() { printf '%s\n' "$*"; }

# Descriptor 9 is the lock of who is up: unlike a process id in a file, it ends with its process, whatever kills it.
lock() {
  mkdir -p "$state"
  exec 9>>"$state/up.pid"
  flock -n 9
}

down() {
  if lock; then say "Nothing to stop: no make up runs here."; return 0; fi
  kill -TERM "$(<"$state/up.pid")"
  if flock -w 15 9; then say "Stopped."; return 0; fi
  say "make up (pid $(<"$state/up.pid")) does not end; see $state/*.log" >&2
  return 1
}

stop_all() {
  trap - EXIT INT TERM
  say "Stopping."
  # In the order of their dependence: the last started first, each given time to end well.
  for ((i = ${#children[@]} - 1; i >= 0; i--)); do
    kill -TERM "${children[i]}" 2>/dev/null || true
    wait "${children[i]}" 2>/dev/null || true
  done
}

# wait_for SECONDS FILE PATTERN PID: until the file has the line, while the process lives.
wait_for() {
  local n=$(($1 * 20))
  for ((; n > 0; n--)); do
    grep -qs "$3" "$2" && return 0
    kill -0 "$4" 2>/dev/null || break
    sleep 0.05
  done
  say "It did not start; the end of $2:" >&2
  tail -n 15 "$2" >&2
  return 1
}

# NAME COMMAND...: in a session of its own, so that a Ctrl-C reaches this script alone; it ends with the script in any case
start() {
  local name=$1; shift
  : >"$state/$name.log" # here, not in the child: wait_for must not read the last run's "ready"
  setsid setpriv --pdeathsig TERM "$@" >"$state/$name.log" 2>&1 </dev/null 9>&- &
  children+=($!)
}

[ "${1:-up}" = down ] && { down; exit; }

if ! lock; then
  say "Already up (pid $(<"$state/up.pid")): $server/   (make down stops it)"
  exit 0
fi
echo $$ >"$state/up.pid"
trap stop_all EXIT
trap 'exit 0' INT TERM

start server "$build/vigla" serve --data "$state/data" --listen "$listen"
wait_for 20 "$state/server.log" '^ready ' "${children[-1]}"
start mesh "$build/vigla" mesh up --server "$server" -n guestbook --state "$state/mesh" \
  --images demo/guestbook/images.yaml --port-map "80=$gateway" \
  -f demo/guestbook/platform -f demo/guestbook/step_1_guestbook -f demo/guestbook/step_2_gateway
wait_for 30 "$state/mesh.log" '^ready ' "${children[-1]}"
start traffic python3 demo/guestbook/traffic.py --url "http://127.0.0.1:$gateway" --rate 4

cat <<MSG

  The console        $server/
  The guestbook      http://guestbook.lvh.me:$gateway/
                     curl -H "Host: guestbook.lvh.me" http://127.0.0.1:$gateway/
  Next               README.md, "A walk through the guestbook"

Gentle traffic runs. Ctrl-C (or make down) stops everything.
MSG
wait -n "${children[@]}" || true
say "One of its parts ended; the end of the logs in $state:" >&2
tail -n 3 "$state"/*.log >&2
exit 1
