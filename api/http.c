/* http.c: between libmicrohttpd and the handlers.
 *
 * libmicrohttpd calls `http_handle` several times for one request: with the headers, with each piece of the body, with
 * its end, and once more after a resume. What it has come to stands in the request:
 *
 *   headers      begin(): who asks, what for, how long is the body. What is wrong already is known now, and is answered
 *                now (tell_early), past libmicrohttpd, which goes on reading for a while and drops the body: a client
 *                that is still sending would lose the answer to the reset of a connection closed too soon
 *   pieces       collect(): into rq->body, bounded
 *   end          dispatch(): unpack the body, call the handler or hand it to a worker
 *   resumed      an answer is there: answer_send()
 */

#include "api/answer-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/zip.h"

#include <assert.h>
#include <sys/socket.h>
#include <time.h>

enum {
    BULK = 256 << 10,       /* what takes longer than some milliseconds to decode (ROUTE_BULK) */
    PACKED = 4 << 10,       /* as long, when it is packed: a thousandfold is easily done */
    SNAPPED = 128 << 10,    /* as long, in Snappy's format: packed, and unpacked, most of which is labels that are known */
    UNSNAPPED = 2 << 20,
    DROPPING_SECONDS = 5,   /* without a byte of a body that is not wanted */
    BODIES = 8              /* as many of the largest size may be in memory at one time */
};

/* --- a request's life --- */

/* The query is decoded here. libmicrohttpd would put each parameter into the connection's own memory first, and when
 * that is full (some 900 of them) leave the client without an answer. `uri` is its buffer, and this is the moment before
 * it looks for the query there. */
static void hide_query(const char *uri)
{
    char *own = (char *)(uintptr_t)uri;
    size_t n = strlen(uri);

    for (size_t i = 0; i < n; i++)
        if (own[i] == '?')
            own[i] = '\0';
}

void *http_request_new(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct api *api = cls;
    struct request *rq = mem_zalloc(sizeof(*rq));
    size_t query;

    if (!rq)
        return NULL; /* http_handle closes the connection */
    rq->api = api;
    rq->connection = connection;
    rq->arena = (struct arena)ARENA_INIT(api->budget.max / 2);
    rq->arena.budget = &api->budget;
    rq->body = (struct buf)BUF_INIT(api->options.max_body);
    rq->out = (struct buf)BUF_INIT(LARGEST_ANSWER);
    rq->started_ns = clock_mono_ns();
    rq->target = arena_str(&rq->arena, str_of(uri));
    hide_query(uri);
    query = rq->target.p ? strcspn(rq->target.p, "?") : 0;
    rq->path = (struct str){ rq->target.p, query };
    pthread_mutex_lock(&api->lock);
    rq->is_late = atomic_load(&api->stopping);
    api->active += !rq->is_late;
    pthread_mutex_unlock(&api->lock);
    return rq;
}

const unsigned http_codes[HTTP_CODES] = { 200, 204, 304, 400, 403, 404, 405, 409, 413, 415, 422, 500, 501, 503, 0 };

static void count_answer(struct request *rq)
{
    struct route_count *c = &rq->api->counts[rq->route ? (size_t)(rq->route - routes) : routes_n];
    size_t i = 0;

    while (i < HTTP_CODES - 1 && http_codes[i] != rq->status)
        i++;
    atomic_fetch_add_explicit(&c->codes[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->ns, (uint64_t)(clock_mono_ns() - rq->started_ns), memory_order_relaxed);
}

void http_request_end(void *cls, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why)
{
    struct request *rq = *state;
    struct api *api = cls;
    bool counted;

    (void)connection;
    (void)why;
    if (!rq)
        return;
    *state = NULL;
    count_answer(rq);
    atomic_fetch_sub(&api->body_bytes, rq->reserved);
    answer_free(rq);
    bodies_done(&api->bodies, &rq->body);
    buf_free(&rq->out);
    if (rq->release)
        rq->release(rq->owner);
    arena_free(&rq->arena);
    counted = !rq->is_late;
    mem_free(rq);
    pthread_mutex_lock(&api->lock);
    api->active -= counted;
    pthread_cond_broadcast(&api->quiet);
    pthread_mutex_unlock(&api->lock);
}

const char *request_header(const struct request *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

/* --- resting --- */

void request_suspend(struct request *rq)
{
    if (atomic_fetch_add(&rq->holders, 1) > 0)
        return; /* rests already */
    pthread_mutex_lock(&rq->api->lock);
    rq->api->suspended++;
    pthread_mutex_unlock(&rq->api->lock);
    rq->suspended = true;
    MHD_suspend_connection(rq->connection);
}

void request_let_go(struct request *rq)
{
    struct api *api = rq->api;

    if (atomic_fetch_sub(&rq->holders, 1) > 1)
        return;
    answer_finish(rq);
    MHD_resume_connection(rq->connection);
    pthread_mutex_lock(&api->lock);
    api->suspended--;
    pthread_cond_broadcast(&api->quiet);
    pthread_mutex_unlock(&api->lock);
}

/* --- headers: what can be refused before the body comes --- */

static enum http_method method_of(const char *word)
{
    static const struct {
        const char *word;
        enum http_method method;
    } all[] = { { "GET", HTTP_GET }, { "HEAD", HTTP_GET }, { "POST", HTTP_POST }, { "PUT", HTTP_PUT },
                { "DELETE", HTTP_DELETE }, { "OPTIONS", HTTP_OPTIONS } };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(word, all[i].word) == 0)
            return all[i].method;
    return HTTP_OTHER;
}

/* "GET http://HOST/path": a server must take that, too (RFC 9112, 3.2.2). */
static struct str without_authority(struct str path)
{
    if (str_starts(path, STR("http://"))) {
        path = str_from(path, 7);
        while (path.n && path.p[0] != '/')
            path = str_from(path, 1);
    }
    return path.n ? path : STR("/");
}

static bool check_host(struct request *rq)
{
    struct str host = str_of(request_header(rq, MHD_HTTP_HEADER_HOST));

    if (!rq->api->loopback || !host.p || host_is_loopback(host, str_of(rq->api->host)))
        return true;
    reply_text(rq, 403, "Host \"%.*s\" is not this server's: it listens on %s and answers to localhost, 127.x.y.z and "
                        "[::1]", STR_ARG(host), rq->api->host);
    return false;
}

static bool check_origin(struct request *rq)
{
    struct str origin = str_of(request_header(rq, MHD_HTTP_HEADER_ORIGIN));
    struct str host = str_of(request_header(rq, MHD_HTTP_HEADER_HOST));

    if (!(rq->route->flags & ROUTE_CHANGES) || !origin.p || origin_is_own(origin, host))
        return true;
    reply_text(rq, 403, "a page of \"%.*s\" may not change anything here", STR_ARG(origin));
    return false;
}

static bool find_route(struct request *rq)
{
    char allow[64];
    unsigned allowed;

    rq->route = route_find(routes, routes_n, rq->path, rq->method, rq->arguments, &rq->narguments, &allowed);
    if (rq->route)
        return true;
    /* As Prometheus has it, a browser may ask first for any path of its API. */
    if (!allowed && !(rq->method == HTTP_OPTIONS && str_starts(rq->path, STR("/api/v1/")))) {
        reply_text(rq, 404, "404 page not found: %.*s", (int)(rq->path.n > 500 ? 500 : rq->path.n), rq->path.p);
        return false;
    }
    route_allow(allowed, allow, sizeof(allow));
    if (rq->method == HTTP_OPTIONS)
        reply_begin(rq, 204, NULL);
    else
        reply_text(rq, 405, "this path takes %s", allow);
    reply_header(rq, MHD_HTTP_HEADER_ALLOW, arena_cstr(&rq->arena, str_of(allow)));
    return false;
}

static void reply_too_large(struct request *rq)
{
    reply_text(rq, 413, "the body is larger than the %zu bytes allowed", rq->api->options.max_body);
}

static bool check_length(struct request *rq)
{
    struct str text = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH));
    uint64_t length;

    if (!text.p || !num_u64(text, &length) || length <= rq->api->options.max_body)
        return true;
    reply_too_large(rq);
    return false;
}

static bool read_target(struct request *rq)
{
    struct str query = str_from(rq->target, rq->path.n + 1);
    struct err e = ERR_INIT;

    for (size_t i = 0; i < rq->narguments; i++)
        rq->arguments[i] = url_decode(&rq->arena, rq->arguments[i], false);
    if (rq->route->flags & ROUTE_FORM)
        return true; /* with the body: its parameters come first */
    if (parameters_parse(&rq->parameters, &rq->arena, query, &e) == 0)
        return true;
    reply_error(rq, &e);
    return false;
}

/* True: go on with the body. False: the answer is there. */
static bool begin(struct request *rq, const char *method, const char *version)
{
    rq->method = method_of(method);
    rq->is_head = strcmp(method, "HEAD") == 0;
    if (!rq->target.p || rq->is_late) {
        reply_text(rq, 503, "the server is stopping");
        reply_header(rq, MHD_HTTP_HEADER_RETRY_AFTER, "1");
        return false;
    }
    if (!framing_check(rq, version) || !check_host(rq))
        return false;
    rq->target = without_authority(rq->target);
    rq->path = (struct str){ rq->target.p, strcspn(rq->target.p, "?") };
    return find_route(rq) && check_origin(rq) && check_length(rq) && read_target(rq);
}

/* --- body --- */

/* Bodies of all requests together are bounded. */
static bool reserve(struct request *rq, size_t n)
{
    struct api *api = rq->api;

    if (atomic_fetch_add(&api->body_bytes, n) + n > BODIES * api->options.max_body) {
        atomic_fetch_sub(&api->body_bytes, n);
        reply_text(rq, 503, "too many large bodies at one time: try again later");
        reply_header(rq, MHD_HTTP_HEADER_RETRY_AFTER, "1");
        return false;
    }
    rq->reserved += n;
    return true;
}

/* Bytes that are read of a body that was refused; beyond them the connection is closed. */
static size_t most_dropped(const struct api *api)
{
    return 4 * api->options.max_body;
}

/* Whether a body is under way. Who asked with Expect has sent none. */
static bool expects_to_send(const struct request *rq)
{
    struct str text = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH));
    uint64_t length = 0;

    if (request_header(rq, MHD_HTTP_HEADER_EXPECT) || (text.p && !num_u64(text, &length)))
        return false;
    return length > 0 || request_header(rq, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* The answer to a request whose body is not wanted, written to the socket while libmicrohttpd waits for that body. It is
 * the connection's last one, so nobody else writes after it; earlier ones have gone out whole before this request was
 * read. What the socket does not take at once (it is empty, and this is short) is given up with the connection. */
static void tell_early(struct request *rq)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    time_t now = (time_t)(clock_now_ms() / 1000);
    struct buf b = BUF_INIT(16 * 1024);
    char date[40];
    struct str text;
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(&b, "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n",
               rq->status, MHD_get_reason_phrase_for(rq->status), date, rq->out.n);
    if (rq->content_type)
        buf_printf(&b, "Content-Type: %s\r\n", rq->content_type);
    for (size_t i = 0; i < rq->nheaders; i++)
        buf_printf(&b, "%s: %s\r\n", rq->headers[i].name, rq->headers[i].value);
    buf_puts(&b, "\r\n");
    if (!rq->is_head)
        buf_str(&b, buf_view(&rq->out));
    text = buf_view(&b);
    if (info && !buf_failed(&b) && !buf_failed(&rq->out) &&
        send(info->connect_fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)text.n)
        shutdown(info->connect_fd, SHUT_WR);
    MHD_set_connection_option(rq->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)DROPPING_SECONDS);
    buf_free(&b);
    rq->told = true;
}

/* A body whose length is known grows in its place. */
static void expect_body(struct request *rq)
{
    struct str text = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH));
    uint64_t length;

    if (text.p && num_u64(text, &length))
        bodies_expect(&rq->api->bodies, &rq->body, (size_t)length);
}

/* False: enough of it. */
static bool collect(struct request *rq, const char *bytes, size_t n)
{
    if (rq->told) {
        rq->dropped += n;
        return rq->dropped <= most_dropped(rq->api);
    }
    if (!rq->body.p)
        expect_body(rq);
    if (rq->body.n + n > rq->api->options.max_body)
        reply_too_large(rq);
    else if (reserve(rq, n))
        buf_put(&rq->body, bytes, n);
    if (buf_failed(&rq->body))
        reply_text(rq, 503, "no memory for the body");
    if (rq->status) {
        buf_free(&rq->body);
        tell_early(rq);
    }
    return true;
}

typedef int unpack_fn(struct str in, struct buf *out, struct err *e);

bool request_is_json(const struct request *rq)
{
    struct str type = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE));

    return str_ieq(str_trim(str_cut(&type, ';')), STR("application/json"));
}

static bool is_snappy(const struct request *rq)
{
    return (rq->route->flags & ROUTE_SNAPPY) && !request_is_json(rq);
}

/* NULL: such a body is not taken on this path. */
static unpack_fn *unpacker(const struct request *rq, struct str coding)
{
    bool says_snappy = str_ieq(coding, STR("snappy"));

    if (says_snappy || is_snappy(rq))
        return is_snappy(rq) && (says_snappy || coding.n == 0) ? snappy_unpack : NULL;
    if (str_ieq(coding, STR("gzip")) || str_ieq(coding, STR("x-gzip")) || str_ieq(coding, STR("deflate")))
        return gzip_unpack;
    return str_ieq(coding, STR("zstd")) ? zstd_unpack : NULL;
}

static bool unpack_body(struct request *rq)
{
    struct str coding = str_trim(str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_ENCODING)));
    bool only_snappy = is_snappy(rq);
    unpack_fn *unpack = unpacker(rq, coding);
    struct buf out = BUF_INIT(rq->api->options.max_body);
    struct err e = ERR_INIT;
    int rc;

    if (!only_snappy && (coding.n == 0 || str_ieq(coding, STR("identity"))))
        return true;
    if (!unpack) {
        reply_text(rq, 415, "Content-Encoding \"%.*s\" should be %s", STR_ARG(coding),
                   only_snappy ? "snappy" : "gzip, zstd or identity");
        return false;
    }
    rc = unpack(buf_view(&rq->body), &out, &e);
    if (rc == 0 && reserve(rq, out.n)) {
        buf_free(&rq->body);
        rq->body = out;
        return true;
    }
    buf_free(&out);
    if (rc < 0)
        reply_text(rq, rc == ERR_LIMIT ? 413 : rc == ERR_NOMEM ? 503 : 400, "body: %s", e.msg);
    return false;
}

/* Parameters of a form, then those of the path. */
static bool read_form(struct request *rq)
{
    struct str type = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE));
    struct err e = ERR_INIT;
    int rc = 0;

    if (!(rq->route->flags & ROUTE_FORM))
        return true;
    if (str_starts(type, STR("application/x-www-form-urlencoded")))
        rc = parameters_parse(&rq->parameters, &rq->arena, buf_view(&rq->body), &e);
    if (rc == 0)
        rc = parameters_parse(&rq->parameters, &rq->arena, str_from(rq->target, rq->path.n + 1), &e);
    if (rc < 0)
        reply_error(rq, &e);
    return rc == 0;
}

/* Whether to unpack the body is more than an I/O thread should be kept busy with. */
static bool unpacks_long(const struct request *rq)
{
    struct str coding = str_trim(str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_ENCODING)));

    if (is_snappy(rq))
        return rq->body.n > SNAPPED;
    return coding.n && !str_ieq(coding, STR("identity")) && rq->body.n > PACKED;
}

static bool is_inline(const struct request *rq)
{
    size_t most = is_snappy(rq) ? UNSNAPPED : BULK;

    return (rq->route->flags & ROUTE_INLINE) && (!(rq->route->flags & ROUTE_BULK) || rq->body.n <= most);
}

static bool prepare(struct request *rq)
{
    rq->prepared = true;
    return unpack_body(rq) && read_form(rq);
}

void request_serve(struct request *rq)
{
    if (rq->prepared || prepare(rq))
        rq->route->handler(rq);
}

/* The whole request is here. After it the request is either answered or suspended. */
static void dispatch(struct request *rq)
{
    struct err e = ERR_INIT;

    if (!unpacks_long(rq) && !prepare(rq))
        return;
    if (rq->prepared && is_inline(rq)) {
        rq->route->handler(rq);
        return;
    }
    request_suspend(rq);
    if (workers_add(rq->api->workers, rq, &e) < 0) {
        reply_error(rq, &e);
        request_let_go(rq);
    }
}

enum MHD_Result http_handle(void *cls, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload_data, size_t *upload_data_size,
                             void **state)
{
    struct request *rq = *state;

    (void)cls;
    (void)connection;
    (void)url;
    if (!rq)
        return MHD_NO;
    if (!rq->headers_seen) {
        rq->headers_seen = true;
        if (begin(rq, method, version))
            return MHD_YES;
        if (expects_to_send(rq)) {
            tell_early(rq);
            return MHD_YES;
        }
    } else if (*upload_data_size) {
        size_t n = *upload_data_size;

        *upload_data_size = 0;
        return collect(rq, upload_data, n) ? MHD_YES : MHD_NO;
    } else if (rq->told) {
        return MHD_NO; /* the end: libmicrohttpd closes the connection */
    } else if (rq->status == 0) {
        dispatch(rq);
        if (rq->suspended)
            return MHD_YES;
    }
    if (!rq->finished)
        answer_finish(rq);
    return answer_send(rq);
}
