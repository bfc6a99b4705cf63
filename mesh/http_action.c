/* http_action.c: the parts of an http rule that say what is done with a request: headers, redirect, answer, rewrite,
 * retries, faults. Each is compiled here into what the proxy is told. */
#include "base/err.h"
#include "base/num.h"
#include "mesh/base64-internal.h"
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

enum { DEFAULT_REDIRECT = 301, MOST_BODY = 1 << 20, LARGE_BODY = 100000 };

/* ---- headers ---- */

/* Envoy expands %NAME% in header values; a percent sign itself is written twice. */
static struct str header_value(struct check *c, const struct yaml_node *at, struct str v)
{
    char *to;
    size_t n = 0;

    if (str_chr(v, '%') < 0)
        return v;
    to = check_alloc(c, v.n + 1, 1);
    for (size_t i = 0; to && i < v.n; i++) {
        ptrdiff_t end = v.p[i] == '%' ? str_chr(str_from(v, i + 1), '%') : -1;

        to[n++] = v.p[i];
        if (v.p[i] != '%')
            continue;
        if (end < 0) {
            check_error(c, at, NULL, "\"%.*s\": a percent sign is written %%%%", STR_ARG(v));
            return v;
        }
        if (end > 0)
            check_warn(c, at, NULL, "%.*s is not expanded yet", (int)end + 2, v.p + i);
        for (ptrdiff_t k = 0; k < end + (end > 0); k++)
            to[n++] = v.p[i + 1 + (size_t)k];
        i += (size_t)end + 1;
    }
    return (struct str){ to, to ? n : 0 };
}

static size_t add_ops(struct check *c, struct header_op *to, int op, const struct yaml_node *map, const struct label *v,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct yaml_node *at = &map->items[i];

        if (!name_is_header(v[i].name))
            check_error(c, at, NULL, "\"%.*s\" is no header name", STR_ARG(v[i].name));
        to[i] = (struct header_op){ op, host_lower(c->arena, v[i].name), header_value(c, at, v[i].value) };
        if (!to[i].name.p)
            c->nomem = true;
    }
    return n;
}

/* Removals first, then what is set, then what is added: Envoy's order. */
static const struct header_op *compile_rules(struct check *c, const struct vs_header_rules *r, size_t *n)
{
    struct header_op *ops = check_alloc(c, r->set.n + r->add.n + r->remove.n, sizeof(*ops));
    const struct yaml_node *list = check_get(r->at, "remove");

    for (size_t i = 0; ops && i < r->remove.n; i++) {
        if (!name_is_header(r->remove.v[i]))
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no header name", STR_ARG(r->remove.v[i]));
        ops[(*n)++] = (struct header_op){ HEADER_REMOVE, host_lower(c->arena, r->remove.v[i]), STR_NULL };
    }
    if (ops)
        *n += add_ops(c, ops + *n, HEADER_SET, check_get(r->at, "set"), r->set.v, r->set.n);
    if (ops)
        *n += add_ops(c, ops + *n, HEADER_ADD, check_get(r->at, "add"), r->add.v, r->add.n);
    return ops;
}

/* Takes Host or :authority out of the operations: it rewrites the host. Other names with a colon do nothing. */
static void take_authority(struct vs_headers *h, struct header_op *ops)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->ops.nrequest; i++) {
        if (ops[i].op == HEADER_SET && (str_eqz(ops[i].name, ":authority") || str_eqz(ops[i].name, "host")))
            h->authority = ops[i].value;
        else if (ops[i].name.n && ops[i].name.p[0] != ':')
            ops[kept++] = ops[i];
    }
    h->ops.nrequest = kept;
}

static void check_headers(struct check *c, void *message)
{
    struct vs_headers *h = message;

    if (h->request)
        h->ops.request = compile_rules(c, h->request, &h->ops.nrequest);
    if (h->response)
        h->ops.response = compile_rules(c, h->response, &h->ops.nresponse);
    if (h->request && !c->nomem) {
        struct header_op *ops = check_alloc(c, h->ops.nrequest, sizeof(*ops));

        if (!ops)
            return;
        if (h->ops.nrequest)
            memcpy(ops, h->ops.request, h->ops.nrequest * sizeof(*ops));
        h->ops.request = ops;
        take_authority(h, ops);
    }
}

static const struct field rules_fields[] = {
    FIELD(PAIRS, vs_header_rules, set, "set"),
    FIELD(PAIRS, vs_header_rules, add, "add"),
    FIELD(STRINGS, vs_header_rules, remove, "remove"),
    END_OF_FIELDS,
};
static const struct message rules_message = { sizeof(struct vs_header_rules), rules_fields, false, NULL };
static const struct field headers_fields[] = {
    FIELD_OF(MESSAGE, vs_headers, request, "request", &rules_message),
    FIELD_OF(MESSAGE, vs_headers, response, "response", &rules_message),
    END_OF_FIELDS,
};
const struct message vs_headers_message = { sizeof(struct vs_headers), headers_fields, false, check_headers };

/* ---- redirect, direct response, delegate, rewrite ---- */

static void check_redirect(struct check *c, void *message)
{
    static const char *const paths[] = { "uri", "prefixRewrite", NULL };
    static const char *const ports[] = { "port", "derivePort", NULL };
    struct vs_redirect *r = message;

    check_count_of(c, r->at, 0, 1, paths);
    check_count_of(c, r->at, 0, 1, ports);
    if (!r->uri.n && !r->prefix_rewrite.n && !r->authority.n && !r->scheme.n && !r->port &&
        !check_get(r->at, "derivePort"))
        check_error(c, r->at, NULL, "one of uri, prefixRewrite, authority, scheme, port must be given");
    if (r->code == 0)
        r->code = DEFAULT_REDIRECT;
    else if (r->code < 300 || r->code > 399)
        check_error(c, r->at, "redirectCode", "must be 301, 302, 303, 307 or 308, not %u", r->code);
}

static const char *const derive_ports[] = { "FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT", NULL };
static const struct field redirect_fields[] = {
    FIELD(STRING, vs_redirect, uri, "uri"),
    FIELD(STRING, vs_redirect, prefix_rewrite, "prefixRewrite"),
    FIELD(STRING, vs_redirect, authority, "authority"),
    FIELD(STRING, vs_redirect, scheme, "scheme"),
    FIELD(PORT, vs_redirect, port, "port"),
    FIELD_OF(ENUM, vs_redirect, derive_port, "derivePort", derive_ports),
    FIELD(COUNT, vs_redirect, code, "redirectCode"),
    END_OF_FIELDS,
};
const struct message vs_redirect_message = { sizeof(struct vs_redirect), redirect_fields, false, check_redirect };

static struct str decode_body(struct check *c, const struct vs_body *body)
{
    struct str text;

    if (!base64_decode(c->arena, body->bytes, &text))
        check_error(c, body->at, "bytes", "is not base64");
    if (!text.p)
        c->nomem = true;
    return text;
}

static void check_direct(struct check *c, void *message)
{
    static const char *const forms[] = { "string", "bytes", NULL };
    struct vs_direct_response *d = message;

    if (d->status && (d->status < 200 || d->status > 599))
        check_error(c, d->at, "status", "must be from 200 to 599, not %u", d->status);
    if (!d->body)
        return;
    check_count_of(c, d->body->at, 0, 1, forms);
    d->text = d->body->bytes.n ? decode_body(c, d->body) : d->body->string;
    if (d->text.n > MOST_BODY)
        check_error(c, d->body->at, NULL, "%zu bytes: at most %d are answered", d->text.n, MOST_BODY);
    else if (d->text.n > LARGE_BODY)
        check_warn(c, d->body->at, NULL, "%zu bytes: more than %d are better served by a service", d->text.n,
                   LARGE_BODY);
}

static const struct field body_fields[] = {
    FIELD(STRING, vs_body, string, "string"),
    FIELD(STRING, vs_body, bytes, "bytes"),
    END_OF_FIELDS,
};
static const struct message body_message = { sizeof(struct vs_body), body_fields, false, NULL };
static const struct field direct_fields[] = {
    REQUIRED(COUNT, vs_direct_response, status, "status"),
    FIELD_OF(MESSAGE, vs_direct_response, body, "body", &body_message),
    END_OF_FIELDS,
};
const struct message vs_direct_response_message = { sizeof(struct vs_direct_response), direct_fields, false,
                                                    check_direct };

static void check_delegate(struct check *c, void *message)
{
    struct vs_delegate *d = message;

    if (d->ns.n == 0)
        d->ns = c->object->ns;
}

static const struct field delegate_fields[] = {
    REQUIRED(STRING, vs_delegate, name, "name"),
    FIELD(STRING, vs_delegate, ns, "namespace"),
    END_OF_FIELDS,
};
const struct message vs_delegate_message = { sizeof(struct vs_delegate), delegate_fields, false, check_delegate };

/* \1 to \9 must be groups of the expression. */
static void check_groups(struct check *c, const struct vs_regex_rewrite *r)
{
    for (size_t i = 0; i + 1 < r->rewrite.n; i++) {
        unsigned group;

        if (r->rewrite.p[i] != '\\')
            continue;
        group = (unsigned)r->rewrite.p[++i] - '0';
        if (group <= 9 && group > regex_groups(r->re))
            check_error(c, r->at, "rewrite", "\\%u: the expression has %u groups", group, regex_groups(r->re));
    }
}

static void check_regex_rewrite(struct check *c, void *message)
{
    struct vs_regex_rewrite *r = message;

    if (r->match.n)
        r->re = vs_regex(c, r->at, "match", r->match, 0);
    if (r->re)
        check_groups(c, r);
}

static const struct field regex_rewrite_fields[] = {
    REQUIRED(STRING, vs_regex_rewrite, match, "match"),
    REQUIRED(STRING, vs_regex_rewrite, rewrite, "rewrite"),
    END_OF_FIELDS,
};
static const struct message regex_rewrite_message = { sizeof(struct vs_regex_rewrite), regex_rewrite_fields, false,
                                                      check_regex_rewrite };

static void check_rewrite(struct check *c, void *message)
{
    static const char *const all[] = { "uri", "uriRegexRewrite", "authority", NULL };
    static const char *const paths[] = { "uri", "uriRegexRewrite", NULL };
    struct vs_rewrite *r = message;

    check_count_of(c, r->at, 1, 3, all);
    check_count_of(c, r->at, 0, 1, paths);
}

static const struct field rewrite_fields[] = {
    FIELD(STRING, vs_rewrite, uri, "uri"),
    FIELD(STRING, vs_rewrite, authority, "authority"),
    FIELD_OF(MESSAGE, vs_rewrite, regex, "uriRegexRewrite", &regex_rewrite_message),
    END_OF_FIELDS,
};
const struct message vs_rewrite_message = { sizeof(struct vs_rewrite), rewrite_fields, false, check_rewrite };

/* ---- retries ---- */

static const struct {
    const char *word;
    unsigned on;
} retry_words[] = {
    { "connect-failure", RETRY_CONNECT_FAILURE },
    { "refused-stream", RETRY_REFUSED_STREAM },
    { "unavailable", RETRY_UNAVAILABLE },
    { "cancelled", RETRY_CANCELLED },
    { "5xx", RETRY_5XX },
    { "gateway-error", RETRY_GATEWAY_ERROR },
    { "reset", RETRY_RESET },
    { "reset-before-request", RETRY_RESET_BEFORE_REQUEST },
    { "retriable-4xx", RETRY_RETRIABLE_4XX },
    { "retriable-status-codes", RETRY_STATUS_CODES },
    { "deadline-exceeded", RETRY_DEADLINE_EXCEEDED },
    { "internal", RETRY_INTERNAL },
    { "resource-exhausted", RETRY_RESOURCE_EXHAUSTED },
    { "retriable-headers", 0 },
    { "envoy-ratelimited", 0 },
    { "http3-post-connect-failure", 0 },
};

const struct retry_policy vs_default_retries = {
    .attempts = 2,
    .on = RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM | RETRY_UNAVAILABLE | RETRY_CANCELLED,
    .backoff_ms = 25,
};

/* One word of retryOn: a condition, or a status code into codes[*n]. */
static bool retry_word(struct str word, unsigned *on, uint16_t *codes, size_t *n)
{
    uint64_t code;

    for (size_t i = 0; i < sizeof(retry_words) / sizeof(retry_words[0]); i++) {
        if (!str_eqz(word, retry_words[i].word))
            continue;
        *on |= retry_words[i].on;
        return true;
    }
    if (!num_u64(word, &code) || code < 100 || code > 599)
        return false;
    codes[(*n)++] = (uint16_t)code;
    *on |= RETRY_STATUS_CODES;
    return true;
}

static void check_retry_on(struct check *c, struct vs_retries *r)
{
    uint16_t *codes = check_alloc(c, r->retry_on.n / 2 + 1, sizeof(*codes));
    struct str rest = r->retry_on;

    r->policy.codes = codes;
    r->policy.on = rest.n ? 0 : vs_default_retries.on;
    while (codes && rest.n) {
        struct str word = str_trim(str_cut(&rest, ','));

        if (!retry_word(word, &r->policy.on, codes, &r->policy.ncodes))
            check_error(c, r->at, "retryOn", "\"%.*s\" is not a condition nor a status code; as in "
                        "5xx,gateway-error,reset,connect-failure,refused-stream,retriable-4xx,503", STR_ARG(word));
    }
}

static void check_retries(struct check *c, void *message)
{
    struct vs_retries *r = message;

    if (r->attempts < 0)
        check_error(c, r->at, "attempts", "must not be negative: 0 turns retries off");
    if (r->attempts == 0 && (r->retry_on.n || r->per_try_timeout))
        check_error(c, r->at, "attempts", "must be 1 or more where retryOn or perTryTimeout are given");
    check_retry_on(c, r);
    r->policy.attempts = r->attempts > 0 ? (unsigned)r->attempts : 0;
    r->policy.per_try_timeout_ms = r->per_try_timeout;
    r->policy.other_priorities = r->remote_localities;
    r->policy.same_hosts = check_get(r->at, "retryIgnorePreviousHosts") && !r->ignore_previous_hosts;
    r->policy.backoff_ms = r->backoff ? r->backoff : vs_default_retries.backoff_ms;
}

static const struct field retries_fields[] = {
    FIELD(INT, vs_retries, attempts, "attempts"),
    FIELD(DURATION, vs_retries, per_try_timeout, "perTryTimeout"),
    FIELD(STRING, vs_retries, retry_on, "retryOn"),
    FIELD(BOOL, vs_retries, remote_localities, "retryRemoteLocalities"),
    FIELD(BOOL, vs_retries, ignore_previous_hosts, "retryIgnorePreviousHosts"),
    FIELD(DURATION, vs_retries, backoff, "backoff"),
    END_OF_FIELDS,
};
const struct message vs_retries_message = { sizeof(struct vs_retries), retries_fields, false, check_retries };

/* ---- faults ---- */

/* A gRPC status and what it is in HTTP, which is what an HTTP caller of an aborted request sees. */
static const struct {
    const char *word;
    unsigned status;
} grpc_words[] = {
    { "OK", 200 },
    { "CANCELLED", 499 },
    { "UNKNOWN", 500 },
    { "INVALID_ARGUMENT", 400 },
    { "DEADLINE_EXCEEDED", 504 },
    { "NOT_FOUND", 404 },
    { "ALREADY_EXISTS", 409 },
    { "PERMISSION_DENIED", 403 },
    { "RESOURCE_EXHAUSTED", 429 },
    { "FAILED_PRECONDITION", 400 },
    { "ABORTED", 409 },
    { "OUT_OF_RANGE", 400 },
    { "UNIMPLEMENTED", 501 },
    { "INTERNAL", 500 },
    { "UNAVAILABLE", 503 },
    { "DATA_LOSS", 500 },
    { "UNAUTHENTICATED", 401 },
};

static void check_delay(struct check *c, void *message)
{
    struct vs_delay *d = message;

    if (d->percent < 0 || d->percent > 100)
        check_error(c, d->at, "percent", "must be from 0 to 100");
    if (!check_get(d->at, "fixedDelay"))
        check_error(c, d->at, "fixedDelay", "missing: how long, as in 5s");
    else if (d->fixed_delay == 0)
        check_error(c, d->at, "fixedDelay", "must be at least 1ms");
    if (!check_get(d->at, "percentage") && !check_get(d->at, "percent"))
        check_warn(c, d->at, "percentage", "missing: no request is delayed");
}

static const struct field delay_fields[] = {
    FIELD(INT, vs_delay, percent, "percent"),
    FIELD(DURATION, vs_delay, fixed_delay, "fixedDelay"),
    FIELD_OF(MESSAGE, vs_delay, percentage, "percentage", &vs_percent_message),
    END_OF_FIELDS,
};
static const struct message delay_message = { sizeof(struct vs_delay), delay_fields, false, check_delay };

static void check_abort(struct check *c, void *message)
{
    static const char *const forms[] = { "httpStatus", "grpcStatus", NULL };
    struct vs_abort *a = message;

    check_count_of(c, a->at, 1, 1, forms);
    a->status = (unsigned)a->http_status;
    if (check_get(a->at, "httpStatus") && (a->http_status < 200 || a->http_status > 599))
        check_error(c, a->at, "httpStatus", "must be from 200 to 599");
    for (size_t i = 0; a->grpc_status.n && i < sizeof(grpc_words) / sizeof(grpc_words[0]); i++)
        if (str_eqz(a->grpc_status, grpc_words[i].word))
            a->status = grpc_words[i].status;
    if (a->grpc_status.n && !a->status)
        check_error(c, a->at, "grpcStatus", "\"%.*s\" is no gRPC status, as in UNAVAILABLE", STR_ARG(a->grpc_status));
    if (!check_get(a->at, "percentage"))
        check_warn(c, a->at, "percentage", "missing: no request is aborted");
}

static const struct field abort_fields[] = {
    FIELD(INT, vs_abort, http_status, "httpStatus"),
    FIELD(STRING, vs_abort, grpc_status, "grpcStatus"),
    FIELD_OF(MESSAGE, vs_abort, percentage, "percentage", &vs_percent_message),
    END_OF_FIELDS,
};
static const struct message abort_message = { sizeof(struct vs_abort), abort_fields, false, check_abort };

static void check_fault(struct check *c, void *message)
{
    static const char *const forms[] = { "delay", "abort", NULL };
    struct vs_fault *f = message;

    check_count_of(c, f->at, 1, 2, forms);
    if (f->delay) {
        f->fault.delay_ms = f->delay->fixed_delay;
        f->fault.delay_ppm = f->delay->percentage ? vs_ppm(f->delay->percentage) : (uint32_t)f->delay->percent * 10000;
    }
    if (f->abort) {
        f->fault.abort_status = f->abort->status;
        f->fault.abort_ppm = vs_ppm(f->abort->percentage);
    }
}

static const struct field fault_fields[] = {
    FIELD_OF(MESSAGE, vs_fault, delay, "delay", &delay_message),
    FIELD_OF(MESSAGE, vs_fault, abort, "abort", &abort_message),
    END_OF_FIELDS,
};
const struct message vs_fault_message = { sizeof(struct vs_fault), fault_fields, false, check_fault };
