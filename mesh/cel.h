/* cel.h: a small part of the Common Expression Language: conditions and values over what is known of a request.
 *
 *     response.code >= 400 && !(request.useragent.startsWith('kube-probe'))
 *     has(request.headers['x-tenant']) ? request.headers['x-tenant'] : 'none'
 *
 *   expr     = ternary ('|' ternary)*           the first that has a value (Istio's attribute expressions)
 *   ternary  = or ['?' or ':' ternary]
 *   or, and  = '||', '&&'                       one side may be without a value where the other decides
 *   relation = sum [('=='|'!='|'<'|'<='|'>'|'>='|'in') sum]
 *   sum      = unary ('+' unary)*               texts joined, numbers added
 *   unary    = ['!'|'-'] member
 *   member   = primary ('.' name '(' expr ')' | '[' expr ']')*      contains, startsWith, endsWith, matches
 *   primary  = number | 'text' | true | false | '[' expr, … ']' | '(' expr ')' | attribute
 *            | (has|string|int|size) '(' expr ')'
 *
 * What is not here is refused by name when an expression is compiled. Evaluation is bounded by the expression's size,
 * and never fails: what has no value (an attribute that is unknown, a type that does not fit) is CEL_NONE.
 * Sources: github.com/google/cel-spec; Envoy's documentation, "Attributes". */
#ifndef MESH_CEL_H
#define MESH_CEL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

enum { CEL_MOST_BYTES = 4096, CEL_MOST_NODES = 256, CEL_MOST_DEPTH = 32 };

enum cel_kind { CEL_NONE, CEL_BOOL, CEL_INT, CEL_STRING };

struct cel_value {
    enum cel_kind kind;
    int64_t i;    /* INT; BOOL: 0, 1 */
    struct str s;
};

#define CEL_ATTRIBUTES(X)                                                                                              \
    X(REQUEST_PATH, "request.path", STRING) X(REQUEST_URL_PATH, "request.url_path", STRING)                            \
    X(REQUEST_QUERY, "request.query", STRING) X(REQUEST_HOST, "request.host", STRING)                                  \
    X(REQUEST_SCHEME, "request.scheme", STRING) X(REQUEST_METHOD, "request.method", STRING)                            \
    X(REQUEST_REFERER, "request.referer", STRING) X(REQUEST_USERAGENT, "request.useragent", STRING)                    \
    X(REQUEST_ID, "request.id", STRING) X(REQUEST_PROTOCOL, "request.protocol", STRING)                                \
    X(REQUEST_SIZE, "request.size", INT) X(REQUEST_TOTAL_SIZE, "request.total_size", INT)                              \
    X(RESPONSE_CODE, "response.code", INT) X(RESPONSE_CODE_DETAILS, "response.code_details", STRING)                   \
    X(RESPONSE_GRPC_STATUS, "response.grpc_status", INT)                                                               \
    X(RESPONSE_SIZE, "response.size", INT) X(RESPONSE_TOTAL_SIZE, "response.total_size", INT)                          \
    X(CONNECTION_MTLS, "connection.mtls", BOOL)                                                                        \
    X(CONNECTION_SNI, "connection.requested_server_name", STRING)                                                      \
    X(CONNECTION_TERMINATION_DETAILS, "connection.termination_details", STRING)                                        \
    X(SOURCE_ADDRESS, "source.address", STRING) X(SOURCE_PORT, "source.port", INT)                                     \
    X(SOURCE_PRINCIPAL, "source.principal", STRING) X(SOURCE_NAMESPACE, "source.namespace", STRING)                    \
    X(SOURCE_WORKLOAD, "source.workload", STRING) X(SOURCE_APP, "source.app", STRING)                                  \
    X(SOURCE_VERSION, "source.version", STRING)                                                                        \
    X(DESTINATION_ADDRESS, "destination.address", STRING) X(DESTINATION_PORT, "destination.port", INT)                 \
    X(DESTINATION_PRINCIPAL, "destination.principal", STRING)                                                          \
    X(DESTINATION_NAMESPACE, "destination.namespace", STRING) X(DESTINATION_WORKLOAD, "destination.workload", STRING)  \
    X(DESTINATION_APP, "destination.app", STRING) X(DESTINATION_VERSION, "destination.version", STRING)                \
    X(UPSTREAM_ADDRESS, "upstream.address", STRING) X(UPSTREAM_PORT, "upstream.port", INT)                             \
    X(UPSTREAM_LOCAL_ADDRESS, "upstream.local_address", STRING)                                                        \
    X(UPSTREAM_ATTEMPTS, "upstream.request_attempt_count", INT)                                                        \
    X(UPSTREAM_FAILURE, "upstream.transport_failure_reason", STRING)                                                   \
    X(XDS_CLUSTER_NAME, "xds.cluster_name", STRING) X(XDS_ROUTE_NAME, "xds.route_name", STRING)

enum cel_attribute {
#define CEL_ENUM(id, name, kind) CEL_##id,
    CEL_ATTRIBUTES(CEL_ENUM)
#undef CEL_ENUM
    CEL_NATTRIBUTES
};

/* Maps of header fields: "request.headers", "response.headers", "response.trailers". */
enum cel_map { CEL_REQUEST_HEADERS, CEL_RESPONSE_HEADERS, CEL_RESPONSE_TRAILERS, CEL_MAPS };

/* What an expression is about. Texts stay until it has been evaluated. */
struct cel_source {
    struct cel_value (*attribute)(const void *of, enum cel_attribute a);
    struct str (*header)(const void *of, enum cel_map m, struct str name); /* STR_NULL: there is none */
    const void *of;
};

struct cel; /* immutable; any number of threads */

/* `wanted`: what it must come to; CEL_NONE: anything. Lives in `a`. NULL: ERR_PARSE (the byte and what is wrong there),
 * ERR_UNSUPPORTED (what is not offered), ERR_LIMIT, ERR_NOMEM. */
const struct cel *cel_compile(struct arena *a, struct str text, enum cel_kind wanted, struct err *e);
/* Texts that are made on the way live in `a`. */
struct cel_value cel_evaluate(const struct cel *c, const struct cel_source *s, struct arena *a);
/* The i-th header field that it names literally in a map, in lower case; STR_NULL: there are no more. */
struct str cel_header(const struct cel *c, enum cel_map m, size_t i);

static inline bool cel_is_true(struct cel_value v)
{
    return v.kind == CEL_BOOL && v.i;
}

#endif
