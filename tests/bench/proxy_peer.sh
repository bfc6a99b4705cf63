#!/usr/bin/env bash
# vigla-proxy as a peer of the shared proxy benchmark: proxy_peer.sh SCENARIO PORT BACKEND DIR
# One gateway that sends everything to 127.0.0.1:BACKEND; with an access log file in the scenario `log`.
set -euo pipefail
scenario=$1 port=$2 backend=$3 dir=$4
here=$(cd "$(dirname "$0")/../.." && pwd)
cat >"$dir/vigla.yaml" <<YAML
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: all, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: default}
spec:
  hosts: ["*"]
  gateways: [all]
  http: [{route: [{destination: {host: backend}}]}]
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: default}
spec:
  selector: {app: backend}
  ports: [{name: http, port: 80, targetPort: $backend}]
---
apiVersion: v1
kind: Pod
metadata: {name: backend, namespace: default, labels: {app: backend}}
spec: {containers: [{name: app, image: none, ports: [{containerPort: $backend}]}]}
status: {podIP: 127.0.0.1, conditions: [{type: Ready, status: "True"}]}
YAML
log=none
[ "$scenario" = log ] && log=$dir/access.log
exec "$here/build/vigla-proxy" --config "$dir/vigla.yaml" --gateway istio-ingressgateway.istio-system \
  --port-map "80=$port" --threads 1 --telemetry none --access-log "$log" --trace-sampling 0
