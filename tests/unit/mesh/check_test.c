/* Every message that a wrong field can earn: where it is, and what would be right. */
#include "tests/unit/mesh/mesh_help.h"

#include <stdio.h>

#define VS     "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
#define DR     "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {name: d}\nspec:\n"
#define GW     "apiVersion: networking.istio.io/v1alpha3\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
#define SVC    "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n"
#define SE     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec:\n"
#define WE     "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: e}\nspec:\n"
#define SC     "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s}\nspec:\n"
#define POD    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n"
#define ROUTE  "  hosts: [a]\n  http:\n  - route: [{destination: {host: a}}]\n"

static const struct {
    const char *in;
    int line;
    const char *said; /* "path: message" of the first error */
} cases[] = {
    /* types and names, whatever the kind */
    { VS "  hosts: a\n", 5, "spec.hosts: must be a list, not a string" },
    { VS "  hosts: [80]\n", 5, "spec.hosts[0]: must be a string: write \"80\" in quotes" },
    { VS ROUTE "    timeout: 5\n", 8, "spec.http[0].timeout: must be a string: write \"5\" in quotes" },
    { VS ROUTE "    timeout: 5x\n", 8, "spec.http[0].timeout: duration \"5x\": unit missing, one of ns us ms s m h" },
    { VS ROUTE "    timeout: -1s\n", 8, "spec.http[0].timeout: duration \"-1s\": not a duration, as in 1.5s or 1h30m" },
    { VS ROUTE "    timeout: 0.0001s\n", 8,
      "spec.http[0].timeout: duration \"0.0001s\": must be a whole number of milliseconds" },
    { VS ROUTE "    timeOut: 5s\n", 8, "spec.http[0].timeOut: unknown field: did you mean \"timeout\"?" },
    { VS ROUTE "    colour: red\n", 8, "spec.http[0].colour: unknown field" },
    { VS ROUTE "    match: [{port: 70000}]\n", 8,
      "spec.http[0].match[0].port: must be a whole number from 1 to 65535, not 70000" },
    { VS ROUTE "    match: [{port: '80'}]\n", 8, "spec.http[0].match[0].port: must be a number, not the string \"80\"" },
    { VS ROUTE "    match: [{ignoreUriCase: 1}]\n", 8,
      "spec.http[0].match[0].ignoreUriCase: must be a boolean, not a number" },
    { VS ROUTE "    mirror_percent: 5\n    mirrorPercent: 6\n", 9,
      "spec.http[0].mirrorPercent: stands twice: also as \"mirror_percent\"" },
    { "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nhosts: [a]\n", 4,
      "hosts: unknown field: apiVersion, kind, metadata and spec are known; is it one of spec?" },
    { "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n", 1, "spec: missing" },

    /* VirtualService */
    { VS "  hosts: [a]\n", 4, "spec: one of http, tcp, tls must be given" },
    { VS "  hosts: ['a!']\n  http: [{route: [{destination: {host: a}}]}]\n", 5, "spec.hosts[0]: \"a!\" is no host name" },
    { VS "  hosts: ['*']\n  http: [{route: [{destination: {host: a}}]}]\n", 5,
      "spec.hosts[0]: \"*\" is not allowed for the mesh: name hosts, or gateways other than mesh" },
    { VS "  hosts: [x.y, '*.y']\n  http: [{route: [{destination: {host: a}}]}]\n", 5,
      "spec.hosts[1]: \"*.y\" and \"x.y\" name the same hosts" },
    { VS ROUTE "  gateways: [x/y/z]\n", 8, "spec.gateways[0]: \"x/y/z\" is no gateway: NAME, NAMESPACE/NAME or mesh" },
    { VS "  gateways: [g]\n  http: [{route: [{destination: {host: a}}]}]\n", 5,
      "spec.gateways: must not be given without hosts (to be delegated to)" },
    { VS "  http: [{delegate: {name: x}}]\n", 5, "spec.http[0].delegate: one that is delegated to cannot delegate" },
    { VS "  hosts: [a]\n  http: [{}]\n", 6, "spec.http[0]: one of route, redirect, directResponse, delegate must be given" },
    { VS ROUTE "    redirect: {uri: /x}\n", 8,
      "spec.http[0].redirect: only one of route, redirect, directResponse, delegate may be given" },
    { VS "  hosts: [a]\n  http: [{route: []}]\n", 6, "spec.http[0].route: must name at least one destination" },
    { VS "  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: -1\n", 9,
      "spec.http[0].route[0].weight: must not be negative" },
    { VS "  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n    - destination: {host: b}\n", 7,
      "spec.http[0].route: the weights' sum is 0: give at least one destination a weight" },
    { VS "  hosts: [a]\n  http:\n  - route: [{weight: 1}]\n", 7, "spec.http[0].route[0].destination: missing" },
    { VS "  hosts: [a]\n  http:\n  - route: [{destination: {port: {number: 80}}}]\n", 7,
      "spec.http[0].route[0].destination.host: missing" },
    { VS "  hosts: [a]\n  http:\n  - route: [{destination: {host: ''}}]\n", 7,
      "spec.http[0].route[0].destination.host: must not be empty: the name of a service" },
    { VS "  hosts: [a]\n  http:\n  - route: [{destination: {host: a/b}}]\n", 7,
      "spec.http[0].route[0].destination.host: \"a/b\" is no host name" },

    /* matches */
    { VS ROUTE "    match: [{uri: {exact: /a, prefix: /b}}]\n", 8,
      "spec.http[0].match[0].uri.prefix: only one of exact, prefix, regex may be given" },
    { VS ROUTE "    match: [{uri: {regex: 'a('}}]\n", 8,
      "spec.http[0].match[0].uri.regex: regular expression \"a(\": at 2: missing closing parenthesis" },
    { VS ROUTE "    match: [{uri: {regex: '(?=a)'}}]\n", 8,
      "spec.http[0].match[0].uri.regex: regular expression \"(?=a)\": back references and look-around are not offered "
      "(RE2)" },
    { VS ROUTE "    match: [{headers: {x: {prefix: ''}}}]\n", 8,
      "spec.http[0].match[0].headers.x.prefix: must not be empty: {} asks for presence" },
    { VS ROUTE "    match: [{headers: {'x y': {exact: a}}}]\n", 8,
      "spec.http[0].match[0].headers.x y: \"x y\" is no header name" },
    { VS ROUTE "    match: [{headers: {x: null}}]\n", 8, "spec.http[0].match[0].headers.x: must be a map, not null" },
    { VS ROUTE "    match: [{method: {regex: ''}}]\n", 8,
      "spec.http[0].match[0].method.regex: must not be empty: {} asks for presence" },
    { VS ROUTE "    match: [{gateways: ['@']}]\n", 8,
      "spec.http[0].match[0].gateways[0]: \"@\" is no gateway: NAME, NAMESPACE/NAME or mesh" },

    /* actions */
    { VS "  hosts: [a]\n  http: [{redirect: {redirectCode: 302}}]\n", 6,
      "spec.http[0].redirect: one of uri, prefixRewrite, authority, scheme, port must be given" },
    { VS "  hosts: [a]\n  http: [{redirect: {uri: /x, redirectCode: 200}}]\n", 6,
      "spec.http[0].redirect.redirectCode: must be 301, 302, 303, 307 or 308, not 200" },
    { VS "  hosts: [a]\n  http: [{match: [{uri: {exact: /x}}], redirect: {prefixRewrite: /y}}]\n", 6,
      "spec.http[0].match[0].uri: must be a prefix: redirect.prefixRewrite replaces what it matched" },
    { VS "  hosts: [a]\n  http: [{redirect: {uri: /x}, rewrite: {uri: /y}}]\n", 6,
      "spec.http[0].rewrite: has no meaning with redirect" },
    { VS "  hosts: [a]\n  http: [{redirect: {uri: /x, port: 1, derivePort: FROM_REQUEST_PORT}}]\n", 6,
      "spec.http[0].redirect.derivePort: only one of port, derivePort may be given" },
    { VS "  hosts: [a]\n  http: [{redirect: {derivePort: ANY}}]\n", 6,
      "spec.http[0].redirect.derivePort: \"ANY\" is not one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT" },
    { VS "  hosts: [a]\n  http: [{directResponse: {status: 600}}]\n", 6,
      "spec.http[0].directResponse.status: must be from 200 to 599, not 600" },
    { VS "  hosts: [a]\n  http: [{directResponse: {status: 200, body: {bytes: 'a!'}}}]\n", 6,
      "spec.http[0].directResponse.body.bytes: is not base64" },
    { VS ROUTE "    rewrite: {}\n", 8, "spec.http[0].rewrite: one of uri, uriRegexRewrite, authority must be given" },
    { VS ROUTE "    rewrite: {uriRegexRewrite: {match: '^/(a)', rewrite: '\\2'}}\n", 8,
      "spec.http[0].rewrite.uriRegexRewrite.rewrite: \\2: the expression has 1 groups" },
    { VS ROUTE "    headers: {request: {set: {'a:b': c}}}\n", 8,
      "spec.http[0].headers.request.set.a:b: \"a:b\" is no header name" },
    { VS ROUTE "    headers: {response: {add: {a: 50%}}}\n", 8,
      "spec.http[0].headers.response.add.a: \"50%\": a percent sign is written %%" },
    { VS ROUTE "    headers: {response: {remove: ['']}}\n", 8,
      "spec.http[0].headers.response.remove[0]: \"\" is no header name" },
    { VS ROUTE "    retries: {attempts: -1}\n", 8,
      "spec.http[0].retries.attempts: must not be negative: 0 turns retries off" },
    { VS ROUTE "    retries: {retryOn: 5xx}\n", 8,
      "spec.http[0].retries.attempts: must be 1 or more where retryOn or perTryTimeout are given" },
    { VS ROUTE "    retries: {attempts: 1, retryOn: '5xx,gateway-eror'}\n", 8,
      "spec.http[0].retries.retryOn: \"gateway-eror\" is not a condition nor a status code; as in "
      "5xx,gateway-error,reset,connect-failure,refused-stream,retriable-4xx,503" },
    { VS ROUTE "    fault: {}\n", 8, "spec.http[0].fault: one of delay, abort must be given" },
    { VS ROUTE "    fault: {delay: {percent: 5}}\n", 8, "spec.http[0].fault.delay.fixedDelay: missing: how long, as in 5s" },
    { VS ROUTE "    fault: {delay: {percent: 101, fixedDelay: 1s}}\n", 8,
      "spec.http[0].fault.delay.percent: must be from 0 to 100" },
    { VS ROUTE "    fault: {abort: {percentage: {value: 101}, httpStatus: 500}}\n", 8,
      "spec.http[0].fault.abort.percentage.value: must be from 0 to 100" },
    { VS ROUTE "    fault: {abort: {percentage: {value: 1}, httpStatus: 100}}\n", 8,
      "spec.http[0].fault.abort.httpStatus: must be from 200 to 599" },
    { VS ROUTE "    fault: {abort: {percentage: {value: 1}, grpcStatus: BAD}}\n", 8,
      "spec.http[0].fault.abort.grpcStatus: \"BAD\" is no gRPC status, as in UNAVAILABLE" },
    { VS ROUTE "    mirror: {host: b}\n    mirrors: [{destination: {host: b}}]\n", 9,
      "spec.http[0].mirrors: only one of mirror, mirrors may be given" },
    { VS ROUTE "    mirrorPercent: 101\n", 8, "spec.http[0].mirrorPercent: must be from 0 to 100" },
    { VS ROUTE "    corsPolicy: {allowOrigins: [{exact: ''}]}\n", 8,
      "spec.http[0].corsPolicy.allowOrigins[0]: must be exact, prefix or regex, and not empty" },
    { VS ROUTE "    corsPolicy: {exposeHeaders: ['']}\n", 8,
      "spec.http[0].corsPolicy.exposeHeaders[0]: \"\" is no name of a header or method" },

    /* tcp, tls */
    { VS "  hosts: [a]\n  tcp: [{match: [{port: 80}]}]\n", 6, "spec.tcp[0].route: missing" },
    { VS "  hosts: [a]\n  tcp: [{match: [{destinationSubnets: [10.0.0.0/99]}], route: [{destination: {host: a}}]}]\n", 6,
      "spec.tcp[0].match[0].destinationSubnets[0]: \"10.0.0.0/99\" is no address nor net, as in 10.1.0.0/16" },
    { VS "  hosts: [a]\n  tls: [{route: [{destination: {host: a}}]}]\n", 6, "spec.tls[0].match: missing" },
    { VS "  hosts: [a.b]\n  tls: [{match: [{sniHosts: [b.b]}], route: [{destination: {host: a}}]}]\n", 6,
      "spec.tls[0].match[0].sniHosts[0]: \"b.b\" is not within the hosts of this VirtualService" },

    /* DestinationRule */
    { DR "  subsets: []\n", 4, "spec.host: missing" },
    { DR "  host: a\n  subsets: [{labels: {v: v1}}]\n", 6, "spec.subsets[0].name: missing" },
    { DR "  host: a\n  subsets:\n  - {name: v1}\n  - {name: v1}\n", 8,
      "spec.subsets[1].name: subset \"v1\" stands twice: also on line 7" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {simple: ROUND}}\n", 6,
      "spec.trafficPolicy.loadBalancer.simple: \"ROUND\" is not one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, "
      "ROUND_ROBIN, LEAST_REQUEST" },
    { DR "  host: a\n  trafficPolicy: {}\n", 6,
      "spec.trafficPolicy: one of loadBalancer, connectionPool, outlierDetection, tls, portLevelSettings, tunnel, "
      "proxyProtocol, retryBudget must be given" },
    { DR "  host: a\n  trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}\n", 6,
      "spec.trafficPolicy.connectionPool.tcp.maxConnections: must not be negative" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {maglev: {tableSize: 10}, useSourceIp: true}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: must be a prime number up to 5000011" },

    { DR "  host: a\n  trafficPolicy: {outlierDetection: {interval: 0s}}\n", 6,
      "spec.trafficPolicy.outlierDetection.interval: must be at least 1ms" },
    { DR "  host: a\n  trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [99]}}\n", 6,
      "spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes: 99 is no HTTP status" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: 'x y'}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: \"x y\" is no header name" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 9000000}}}}\n",
      6, "spec.trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize: must be at most 8388608" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {warmup: {}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.warmup.duration: missing: how long, as in 60s" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {warmup: {duration: 1s, aggression: 0.5}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.warmup.aggression: must be 1 or more" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50, b: 40}}]}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: the weights' sum must be 100, not 90" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50, a/b: 50}}]}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to.a/b: \"a/b\" and \"a\" overlap" },
    { DR "  host: a\n  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a/*/b, to: {a: 100}}]}}}\n", 6,
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].from: \"a/*/b\" is no locality, as in region/zone/*" },
    { DR "  host: a\n  trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}}\n",
      6, "spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].to: must be another region than from" },
    { DR "  host: a\n  trafficPolicy: {retryBudget: {percent: 101}}\n", 6,
      "spec.trafficPolicy.retryBudget.percent: must be from 0 to 100" },
    { DR "  host: a\n  trafficPolicy: {proxyProtocol: {version: V3}}\n", 6,
      "spec.trafficPolicy.proxyProtocol.version: \"V3\" is not one of V1, V2" },

    /* ServiceEntry, WorkloadEntry */
    { SE "  ports: []\n", 4, "spec.hosts: missing" },
    { SE "  hosts: ['*']\n", 5, "spec.hosts[0]: \"*\" is too much: name hosts, as in *.example.com" },
    { SE "  hosts: [a.b, A.b]\n", 5, "spec.hosts[1]: \"a.b\" stands twice" },
    { SE "  hosts: [a.b]\n  addresses: [here]\n", 6,
      "spec.addresses[0]: \"here\" is no address nor net, as in 10.1.0.0/16" },
    { SE "  hosts: [a.b]\n  ports: [{number: 80, name: http, protocol: HTTPX}]\n", 6,
      "spec.ports[0].protocol: invalid protocol \"HTTPX\": HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL" },
    { SE "  hosts: [a.b]\n  ports:\n  - {number: 80, name: a}\n  - {number: 80, name: b}\n", 8,
      "spec.ports[1].number: 80 stands twice: also on line 7" },
    { SE "  hosts: [a.b]\n  ports: [{number: 80, name: a}]\n  endpoints: [{address: 1.1.1.1}]\n", 7,
      "spec.endpoints: must not be given with resolution NONE: give STATIC or DNS" },
    { SE "  hosts: [a.b]\n  ports: [{number: 80, name: a}]\n  resolution: STATIC\n  endpoints: [{address: c.d}]\n", 8,
      "spec.endpoints[0].address: \"c.d\" is no address: names need resolution DNS" },
    { SE "  hosts: [a.b]\n  ports: [{number: 80, name: a}]\n  resolution: STATIC\n  endpoints: [{address: 1.1.1.1, ports: {b: "
      "1}}]\n", 8, "spec.endpoints[0].ports.b: there is no port \"b\" among the entry's" },
    { SE "  hosts: ['*.b']\n  ports: [{number: 80, name: a}]\n  resolution: DNS\n", 5,
      "spec.hosts[0]: \"*.b\": a wildcard cannot be looked up: give endpoints, or another resolution" },
    { SE "  hosts: [a.b]\n  ports: [{number: 80, name: a}]\n  resolution: DYNAMIC_DNS\n", 5,
      "spec.hosts[0]: \"a.b\": DYNAMIC_DNS is for wildcards; a name is looked up by DNS" },
    { SE "  hosts: [a.b]\n  workloadSelector: {labels: {a: '*'}}\n", 6,
      "spec.workloadSelector.labels.a: \"a: *\" is no label, and no wildcard is taken" },
    { WE "  labels: {a: b}\n", 4, "spec.address: missing: an IP or a host name; without one a network must be given" },
    { WE "  address: a.b:80\n", 5,
      "spec.address: \"a.b:80\" is neither an address nor a host name: ports are given by \"ports\"" },
    { WE "  address: 1.1.1.1\n  ports: {http: 0}\n", 6, "spec.ports.http: must be a port number from 1 to 65535" },
    { WE "  address: 1.1.1.1\n  ports: {http: x}\n", 6, "spec.ports.http: must be a number, not the string \"x\"" },
    { WE "  address: unix://x\n", 5, "spec.address: \"unix://x\": must be an absolute path, or begin with '@'" },

    /* Sidecar */
    { SC "  workloadSelector: {labels: {a: b}}\n", 4,
      "spec: one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool must be given" },
    { SC "  egress: [{hosts: ['*']}]\n", 5, "spec.egress[0].hosts[0]: \"*\" must be NAMESPACE/HOST, as in ./* or */*" },
    { SC "  egress: [{hosts: ['A/*']}]\n", 5,
      "spec.egress[0].hosts[0]: \"A\" is no namespace: a name, '.' for this one, '*' for any, '~' for none" },
    { SC "  egress: [{bind: 127.0.0.1, hosts: ['*/*']}]\n", 5, "spec.egress[0].port: missing: where bind is given a port must be" },
    { SC "  egress:\n  - {hosts: ['*/*']}\n  - {hosts: ['./*']}\n", 6,
      "spec.egress[0].port: missing: the last listener alone may be without, and is for all ports that no other has" },
    { SC "  ingress: [{port: {number: 80, name: x}, defaultEndpoint: '10.0.0.1:80'}]\n", 5,
      "spec.ingress[0].defaultEndpoint: \"10.0.0.1:80\" must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or "
      "unix://PATH" },
    { SC "  ingress:\n  - {port: {number: 80, name: x}}\n  - {port: {number: 80, name: y}}\n", 7,
      "spec.ingress[1].port: stands twice: also on line 6" },
    { SC "  outboundTrafficPolicy: {egressProxy: {host: a, port: {number: 1}}}\n", 5,
      "spec.outboundTrafficPolicy.egressProxy: needs mode ALLOW_ANY: with REGISTRY_ONLY nothing unknown is let out" },

    /* Gateway */
    { GW "  selector: {istio: x}\n", 4, "spec.servers: missing" },
    { GW "  servers: [{hosts: ['*']}]\n", 5, "spec.servers[0].port: missing" },
    { GW "  servers: [{hosts: ['*'], port: {number: 80, name: x, protocol: HTTPX}}]\n", 5,
      "spec.servers[0].port.protocol: invalid protocol \"HTTPX\": HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP or MONGO" },
    { GW "  servers: [{hosts: ['*'], port: {number: 80, protocol: HTTP}}]\n", 5,
      "spec.servers[0].port.name: missing: every port has a name, as in http" },
    { GW "  servers: [{hosts: ['*a.b'], port: {number: 80, name: x, protocol: HTTP}}]\n", 5,
      "spec.servers[0].hosts[0]: partial wildcard \"*a.b\" not allowed: \"*\" stands for whole labels, as in "
      "*.example.com" },
    { GW "  servers: [{hosts: ['~/a'], port: {number: 80, name: x, protocol: HTTP}}]\n", 5,
      "spec.servers[0].hosts[0]: \"~\" is no namespace: a name, '.' for this one, or '*'" },
    { GW "  servers: [{hosts: ['*'], port: {number: 443, name: x, protocol: HTTPS}}]\n", 5,
      "spec.servers[0].tls: missing: server must have TLS settings for HTTPS or TLS" },
    { GW "  servers: [{hosts: ['*'], port: {number: 443, name: x, protocol: HTTPS}, tls: {mode: SIMPLE}}]\n", 5,
      "spec.servers[0].tls.serverCertificate: missing: this mode of TLS requires a server certificate, or a "
      "credentialName" },

    /* Service, Pod, Deployment */
    { SVC "  selector: {app: a}\n", 4, "spec.ports: missing: at least one port" },
    { SVC "  ports: [{port: 0}]\n", 5, "spec.ports[0].port: must be a whole number from 1 to 65535, not 0" },
    { SVC "  ports: [{port: 80, targetport: 81}]\n", 5,
      "spec.ports[0].targetport: unknown field: did you mean \"targetPort\"?" },
    { SVC "  ports: [{port: 80, targetPort: 0}]\n", 5,
      "spec.ports[0].targetPort: must be a port number from 1 to 65535, or the name of a container's port" },
    { SVC "  ports: [{port: 80, targetPort: 'a b'}]\n", 5,
      "spec.ports[0].targetPort: \"a b\" is neither a number nor the name of a container's port" },
    { SVC "  ports: [{port: 80, protocol: HTTP}]\n", 5,
      "spec.ports[0].protocol: \"HTTP\" is not one of TCP, UDP, SCTP (what is spoken over TCP is said by the port's name or "
      "appProtocol)" },
    { SVC "  ports: [{port: 80}, {port: 81}]\n", 5,
      "spec.ports[0].name: missing: where there are several ports each has a name" },
    { SVC "  ports:\n  - {name: a, port: 80}\n  - {name: b, port: 80}\n", 7, "spec.ports[1].port: 80 stands twice: also on line 6" },
    { SVC "  ports: [{port: 80}]\n  clusterIP: here\n", 6, "spec.clusterIP: \"here\" is neither an address nor None" },
    { SVC "  ports: [{port: 80}]\n  type: Cluster\n", 6,
      "spec.type: \"Cluster\" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName" },
    { POD, 1, "spec: missing" },
    { POD "spec: {}\n", 5, "spec.containers: missing" },
    { POD "  annotations: {vigla.dev/host-ports: '80'}\nspec: {containers: []}\n", 5,
      "metadata.annotations.vigla.dev/host-ports: \"80\": must be PORT=PORT, as in 80=10080" },
    { POD "spec: {containers: []}\nstatus: {podIP: here}\n", 6, "status.podIP: \"here\" is no address" },
    { "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: []}}}\n", 4,
      "spec.selector: missing: matchLabels that select the template's Pods" },
    { "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector: {matchLabels: {app: a}}\n"
      "  template: {metadata: {labels: {app: b}}, spec: {containers: []}}\n", 5,
      "spec.selector: does not select the Pods of spec.template: its labels must hold matchLabels" },
};

START_TEST(says_what_is_wrong)
{
    struct world w;
    struct err e = ERR_INIT;
    const struct mesh_problem *p = NULL;
    char said[1024];

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, cases[_i].in), 0);
    ck_assert_msg(w.problems.errors == 0, "%s", world_problems(&w));
    ck_assert_ptr_null(mesh_build(&w.arena, &w.objects, &w.problems, &e));
    ck_assert_int_eq(e.code, ERR_INVALID);
    for (size_t i = w.problems.n; i-- > 0;)
        if (w.problems.v[i].severity == MESH_ERROR)
            p = &w.problems.v[i];
    ck_assert_ptr_nonnull(p);
    snprintf(said, sizeof(said), "%.*s: %.*s", STR_ARG(p->path), STR_ARG(p->message));
    ck_assert_str_eq(said, cases[_i].said);
    ck_assert_msg(p->line == cases[_i].line, "%s: line %d", said, p->line);
    ck_assert(str_eqz(p->file, "f.yaml"));
    ck_assert_uint_gt(p->object.n, 0);
    world_fini(&w);
}
END_TEST

/* What stops nothing: "path: message" of warnings. */
static const struct {
    const char *in, *said;
} warnings[] = {
    { VS ROUTE, "f.yaml:7: warning: VirtualService default/v: spec.http[0].route[0].destination.host: there is no Service "
                "a.default.svc.cluster.local: requests will be answered 503\n" },
    { VS "  hosts: [x.y]\n  http: [{redirect: {uri: /}}]\n  gateways: [g, mesh]\n",
      "f.yaml:7: warning: VirtualService default/v: spec.gateways[0]: there is no Gateway default/g\n" },
    { SVC "  ports: [{port: 80}]\n---\n" VS "  hosts: [s]\n  http: [{route: [{destination: {host: s, subset: v1, port: "
      "{number: 81}}}]}]\n",
      "f.yaml:12: warning: VirtualService default/v: spec.http[0].route[0].destination.port: s.default.svc.cluster.local "
      "has no port 81: requests will be answered 503\n"
      "f.yaml:12: warning: VirtualService default/v: spec.http[0].route[0].destination.subset: no DestinationRule defines "
      "subset \"v1\" of s.default.svc.cluster.local: requests will be answered 503\n" },
    { VS "  hosts: [x.y]\n  http: [{redirect: {uri: /}}]\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
      "metadata: {name: a}\nspec:\n  hosts: [b.c, x.y]\n  http: [{redirect: {uri: /}}]\n",
      "f.yaml:5: warning: VirtualService default/v: spec.hosts[0]: VirtualService default/a is older and has this host in "
      "the mesh: this one is not used for it\n" },
    { VS "  hosts: [x.y]\n  http: [{delegate: {name: other}}]\n",
      "f.yaml:6: warning: VirtualService default/v: spec.http[0].delegate: there is no VirtualService default/other: the "
      "rule does nothing\n" },
    { "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: p}\nspec: {}\n",
      "f.yaml:1: warning: WasmPlugin default/p: kept, not applied yet: this version does not read WasmPlugin\n" },
    { "apiVersion: v1\nkind: Secret\nmetadata: {name: p}\ndata: {}\n", "" },
    { DR "  host: a.b\n  trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}\n",
      "f.yaml:6: warning: DestinationRule default/d: spec.trafficPolicy.loadBalancer.localityLbSetting: failover has no "
      "effect without outlierDetection\n" },
    { DR "  host: a.b\n  trafficPolicy: {tunnel: {targetHost: x, targetPort: 1}, outlierDetection: {consecutiveErrors: 5}}\n",
      "f.yaml:6: warning: DestinationRule default/d: spec.trafficPolicy.outlierDetection.consecutiveErrors: is not applied "
      "any more, nor does Istio: give consecutive5xxErrors or consecutiveGatewayErrors\n"
      "f.yaml:6: warning: DestinationRule default/d: spec.trafficPolicy.tunnel: kept, not applied yet: connections go "
      "straight to the destination\n" },
    { SE "  hosts: [a.b]\n  resolution: STATIC\n",
      "f.yaml:4: warning: ServiceEntry default/e: spec.ports: missing: no proxy serves its hosts\n"
      "f.yaml:4: warning: ServiceEntry default/e: spec.endpoints: missing: with resolution STATIC and no endpoint requests "
      "are answered 503\n" },
    { SVC "  type: ExternalName\n  externalName: a.b\n",
      "f.yaml:4: warning: Service default/s: spec.ports: missing: a proxy serves the ports that are named, and without any "
      "not this Service\n" },
    { VS "  hosts: [x.y]\n  http: [{redirect: {uri: /}, match: [{headers: {'@request.auth.claims.x': {exact: a}}}]}]\n",
      "f.yaml:6: warning: VirtualService default/v: spec.http[0].match[0].headers.@request.auth.claims.x: tokens are not "
      "read yet: no request has these claims\n" },
};

START_TEST(warns_of_what_will_not_work)
{
    struct world w;

    world_init(&w);
    world_build(&w, warnings[_i].in);
    ck_assert_str_eq(world_problems(&w), warnings[_i].said);
    world_fini(&w);
}
END_TEST

START_TEST(keeps_errors_before_warnings)
{
    struct world w;
    struct buf b = BUF_INIT(1 << 20);

    world_init(&w);
    for (int i = 0; i < 150; i++)
        buf_printf(&b, "apiVersion: a.b/v1\nkind: X\nmetadata: {name: x%d}\n---\n", i);
    for (int i = 0; i < 120; i++)
        buf_printf(&b, "apiVersion: v1\nkind: X\nmetadata: {name: x%d}\n---\n", i);
    buf_putc(&b, '\0');
    world_parse(&w, b.p);
    ck_assert_uint_eq(w.problems.errors, 120);
    ck_assert_uint_eq(w.problems.n, MESH_MOST_PROBLEMS);
    for (size_t i = 0; i < w.problems.n; i++)
        ck_assert_int_eq(w.problems.v[i].severity, MESH_ERROR);
    buf_free(&b);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/check");
    TCase *t = tcase_create("check");

    tcase_add_loop_test(t, says_what_is_wrong, 0, COUNT(cases));
    tcase_add_loop_test(t, warns_of_what_will_not_work, 0, COUNT(warnings));
    tcase_add_test(t, keeps_errors_before_warnings);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
