#!/usr/bin/env bash
# vigla-proxy as a peer of the shared proxy benchmark: proxy_peer.sh SCENARIO PORT BACKEND BACKEND_B BACKEND_C DIR
# The proxy's metrics are always on. With VIGLA_SERVER=URL records, metrics and spans of all scenarios are shipped there,
# traces sampled as Istio's default has it (1 %); without it, the scenarios with logs write a file in DIR.
set -euo pipefail
scenario=$1 port=$2 backend=$3 backend_b=$4 backend_c=$5 dir=$6
here=$(cd "$(dirname "$0")/../.." && pwd)
mesh_address=127.0.0.9

# service NAME PORT PROTOCOL: one Pod behind it, on this machine
service() {
  cat <<YAML
---
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: default}
spec:
  selector: {app: $1}
  ports: [{name: $3, port: 80, targetPort: $2}]
---
apiVersion: v1
kind: Pod
metadata: {name: $1-1, namespace: default, labels: {app: $1, security.istio.io/tlsMode: ${4:-none}}}
spec: {serviceAccountName: $1, containers: [{name: app, image: none, ports: [{containerPort: $2}]}]}
status: {podIP: ${5:-127.0.0.1}, conditions: [{type: Ready, status: "True"}]}
YAML
}

# gateway PROTOCOL [TLS]
gateway() {
  cat <<YAML
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: all, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: in, protocol: $1}, hosts: ["*"]${2:+, tls: $2}}]
YAML
}

# routes KIND LIST: of a VirtualService for everything
routes() {
  cat <<YAML
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: default}
spec:
  hosts: ["*"]
  gateways: [all]
  $1: $2
YAML
}

configuration() {
  local to_backend='{route: [{destination: {host: backend}}]}'
  case $scenario in
    tcp*) gateway TCP; routes tcp "[{match: [{port: 80}], route: [{destination: {host: backend}}]}]" ;;
    tls*)
      gateway HTTPS "{mode: SIMPLE, serverCertificate: $dir/server.crt, privateKey: $dir/server.key, minProtocolVersion: TLSV1_3}"
      routes http "[$to_backend]" ;;
    route)
      gateway HTTP
      routes http "
  - match:
    - headers: {x-canary: {exact: 'true'}}
    - headers: {x-env: {prefix: stag}}
    - headers: {x-tenant: {regex: 'green-[0-9]+'}}
    - uri: {prefix: /internal/}
    route: [{destination: {host: canary}}]
  - route:
    - {destination: {host: backend}, weight: 70}
    - {destination: {host: backend-b}, weight: 30}"
      service backend-b "$backend_b" http; service canary "$backend_c" http ;;
    *) gateway HTTP; routes http "[$to_backend]" ;;
  esac
  case $scenario in
    mesh*) service backend "$backend" http istio "$mesh_address" ;;
    tcp*) service backend "$backend" tcp ;;
    *) service backend "$backend" http ;;
  esac
}

# identity NAME: its certificate files, by the mesh's own authority
identity() {
  local to=$dir/$1.certs
  mkdir -p "$to"
  openssl ecparam -name prime256v1 -genkey -noout -out "$to/key.pem"
  openssl req -new -key "$to/key.pem" -subj / -out "$to/request.pem"
  openssl x509 -req -in "$to/request.pem" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -out "$to/cert-chain.pem" \
    -extfile <(echo "subjectAltName=critical,URI:spiffe://cluster.local/ns/$2/sa/$1") 2>/dev/null
  cp "$dir/ca.crt" "$to/root-cert.pem"
}

configuration >"$dir/vigla.yaml"
log=none telemetry=${VIGLA_SERVER:-none}
[[ $scenario == *log && $telemetry == none ]] && log=$dir/access.log
common=(--config "$dir/vigla.yaml" --threads 1 --telemetry "$telemetry" --access-log "$log" --trace-sampling 1)
gateway=(--gateway istio-ingressgateway.istio-system --port-map "80=$port")
if [[ $scenario == mesh* ]]; then
  identity istio-ingressgateway istio-system
  identity backend default
  "$here/build/vigla-proxy" "${common[@]}" --workload backend.default --pod backend-1 --app-address 127.0.0.1 \
    --cert-dir "$dir/backend.certs" &
  inward=$!
  "$here/build/vigla-proxy" "${common[@]}" "${gateway[@]}" --cert-dir "$dir/istio-ingressgateway.certs" &
  outward=$!
  trap 'kill $inward $outward' TERM
  wait || wait
else
  exec "$here/build/vigla-proxy" "${common[@]}" "${gateway[@]}"
fi
