/* http-internal.h: a request and its answer, and what the handlers share.
 *
 * Threads. A few I/O threads (libmicrohttpd's, epoll) read requests and send answers. A handler runs either there
 * (ROUTE_INLINE: what takes microseconds, and OTLP, which hands its batch to the store's committer) or on one of the
 * workers (whatever queries, draws or waits for the disk), so that a slow query never holds up anybody else's request.
 *
 *   headers ─ route, Host, Origin, length ─ body ─┬─ inline handler ──────────── answer
 *                                                 ├─ suspend, worker's queue ── handler ─ resume ─ answer
 *                                                 └─ a handler suspends, too ── committer or mesh has it ─ resume ─ answer
 *
 * Ownership. A request belongs to one thread at a time: the I/O thread, until request_suspend; then whoever it was
 * handed to, until request_let_go, which must be the last thing done with it. It is freed after the answer. */
#ifndef API_HTTP_INTERNAL_H
#define API_HTTP_INTERNAL_H

#include "api/api.h"
#include "base/labels.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum http_method { HTTP_GET = 1, HTTP_POST = 2, HTTP_PUT = 4, HTTP_DELETE = 8, HTTP_OPTIONS = 16, HTTP_OTHER = 32 };

struct request;

enum route_flags {
    ROUTE_INLINE = 1,  /* runs on the I/O thread */
    ROUTE_CHANGES = 2, /* changes state: refused to other web pages */
    ROUTE_FORM = 4,    /* parameters may come as a form in the body, too */
    ROUTE_BULK = 8,    /* inline only while the body is small: to decode a large one takes long */
    ROUTE_SNAPPY = 16  /* a body that is not JSON is in Snappy's block format, whether it says so or not */
};

struct route {
    unsigned methods;    /* HTTP_GET stands for HEAD, too */
    const char *pattern; /* "/api/v1/label/{}/values"; a last "{*}" takes the rest, slashes and all */
    void (*handler)(struct request *rq);
    unsigned flags;
};

enum { HTTP_MOST_ARGUMENTS = 4, HTTP_MOST_HEADERS = 8, HTTP_CODES = 15 };

struct parameters {
    struct label *v; /* name and value, decoded */
    size_t n, cap;
};

struct header {
    const char *name, *value;
};

struct request {
    struct api *api;
    struct MHD_Connection *connection;
    struct arena arena; /* for everything of this request */
    const struct route *route;
    enum http_method method;
    struct str target; /* path and query as they came */
    struct str path;   /* raw; arguments are decoded */
    struct str arguments[HTTP_MOST_ARGUMENTS];
    size_t narguments;
    struct parameters parameters;
    struct buf body;      /* as it came, then unpacked */
    size_t reserved;      /* bytes of the api's budget for bodies */
    size_t dropped;       /* bytes of a refused body that have been read */
    bool is_head;         /* method is GET then, and the body stays here */
    bool headers_seen, suspended, finished;
    bool is_late;         /* it began when the server was stopping already: refused, and not waited for */
    atomic_uint holders;  /* of a suspended request: who has to let go of it before it is resumed */
    bool prepared;        /* the body is unpacked, a form is read */
    bool told;            /* the answer has gone out already; what comes of the body is dropped */
    int64_t started_ns;   /* monotonic */

    /* the answer */
    unsigned status;      /* 0: none yet */
    const char *content_type;
    struct buf out;
    struct header headers[HTTP_MOST_HEADERS];
    size_t nheaders;
    /* Instead of `out`: bytes that somebody else owns; release(owner) when they have been sent. */
    struct str fixed;
    void (*release)(void *owner);
    void *owner;
    struct pieces *pieces; /* of answer.c: more of `out` will come */
    /* With status 101: who gets the connection; its cls is `owner`. */
    MHD_UpgradeHandler upgrade;
};

extern const unsigned http_codes[HTTP_CODES]; /* the last one is 0: any other */

struct route_count {
    atomic_uint_fast64_t codes[HTTP_CODES];
    atomic_uint_fast64_t ns;
};

struct otlp_count {
    atomic_uint_fast64_t accepted, refused;
};

enum push_receiver { PUSH_LOKI, PUSH_ZIPKIN, PUSH_JAEGER, PUSH_RECEIVERS };

struct push_count {
    atomic_uint_fast64_t accepted, refused;
};

struct write_count {
    atomic_uint_fast64_t samples, refused, exemplars;
};

/* --- bodies.c: buffers for bodies, used again --- */

/* Kept at most; 14 MiB in all. A body that is larger than the largest grows like any buffer. */
enum { BODIES_KEPT = 2, BODIES_LARGEST = 7 << 20 };

struct bodies {
    pthread_mutex_t lock; /* guards what follows */
    struct buf spare[BODIES_KEPT];
    size_t n;
};

void bodies_init(struct bodies *b);
void bodies_fini(struct bodies *b);
/* Gives the body, which has no memory yet, room for n bytes, or for as many as the largest has: who says a length need not
 * send as much. Without memory for it nothing has changed. */
void bodies_expect(struct bodies *b, struct buf *body, size_t n);
/* Instead of buf_free. */
void bodies_done(struct bodies *b, struct buf *body);
void bodies_drop(struct bodies *b);

struct api {
    struct store *store;
    struct api_options options;
    char *host, *config;
    bool loopback; /* listens there: the Host header must say so */
    uint16_t port;
    int64_t started_ms;
    struct MHD_Daemon *daemon;
    struct workers *workers;
    struct mesh_state *mesh;
    struct graph_state *graph;
    struct tails *tails;
    atomic_bool stopping;
    struct bodies bodies;
    atomic_size_t body_bytes;   /* in all requests together */
    struct arena_budget budget; /* of the arenas of all requests */
    atomic_size_t answer_bytes; /* of values whose encoding is under way */
    pthread_mutex_t lock;     /* guards the two counts below */
    pthread_cond_t quiet;     /* one of them went down */
    size_t active;            /* requests from their first line to their end */
    size_t suspended;
    struct route_count *counts; /* by route, the last one for what has none */
    struct otlp_count otlp[3];  /* by enum otlp_signal */
    struct write_count write;   /* remote write */
    struct push_count push[PUSH_RECEIVERS];
};

/* --- http.c --- */

/* What libmicrohttpd calls: with the request line (the result is the request, in each call that follows); with headers,
 * body and end; after the answer. `cls` is the api. */
void *http_request_new(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result http_handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                            const char *version, const char *upload_data, size_t *upload_data_size, void **state);
void http_request_end(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why);

/* The connection rests until everybody has let go who has suspended it: a handler without an answer yet, for whoever will
 * bring it; for a handler on a worker the worker holds the request already. The thread that runs a handler may return
 * from it afterwards and do nothing else. */
void request_suspend(struct request *rq);
/* The last to let go has the answer sent. The caller must not touch the request any more. */
void request_let_go(struct request *rq);
/* On a worker: what is left to be done with the request, up to its answer. */
void request_serve(struct request *rq);
/* NULL when the header is not there. */
const char *request_header(const struct request *rq, const char *name);
/* By its Content-Type. */
bool request_is_json(const struct request *rq);

/* --- accept.c --- */

enum coding { CODING_NONE, CODING_GZIP, CODING_ZSTD, CODINGS };

/* What an Accept-Encoding header prefers. */
enum coding accept_coding(struct str header);
bool accepts_gzip(struct str header);

/* --- parameter.c --- */

/* Adds what stands in "a=b&c=d"; %XX and '+' are decoded. ERR_LIMIT beyond 4096 parameters, ERR_NOMEM. */
int parameters_parse(struct parameters *p, struct arena *a, struct str text, struct err *e);
struct str url_decode(struct arena *a, struct str s, bool plus_is_blank);
/* The first of that name; STR_NULL when there is none. */
struct str request_parameter(const struct request *rq, const char *name);
/* The next of that name from *at on: loop while the result's p is not NULL. */
struct str request_parameter_next(const struct request *rq, const char *name, size_t *at);
/* "true", "false", "1", "0"; absent: `otherwise`. ERR_INVALID names the parameter. */
int request_bool(const struct request *rq, const char *name, bool otherwise, bool *v, struct err *e);
int request_limit(const struct request *rq, const char *name, uint64_t otherwise, uint64_t *v, struct err *e);
/* Prometheus' times: seconds with fraction, or RFC 3339. ERR_PARSE. */
int parse_time_ms(struct str s, int64_t *ms, struct err *e);
/* Prometheus' durations: seconds with fraction, or "1h30m". ERR_PARSE. */
int parse_duration_ms(struct str s, int64_t *ms, struct err *e);
/* Ours: as parse_time_ms, and whole milliseconds (a number beyond 10^11). */
int parse_moment_ms(struct str s, int64_t *ms, struct err *e);

/* --- reply.c --- */

/* Begins an answer whose text the handler then puts into rq->out. */
void reply_begin(struct request *rq, unsigned status, const char *content_type);
void reply_json(struct request *rq, unsigned status);
void reply_text(struct request *rq, unsigned status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Goes on with a large answer: more(state, out) appends the next PIECE of it, or a little more, and returns whether
 * there are others. It is called at once, and then, when that was not all, on the I/O thread while the answer is being
 * sent, until it returns false. The state lives in the request's arena. */
enum { PIECE = 128 << 10 };
void reply_pieces(struct request *rq, bool (*more)(void *state, struct buf *out), void *state);
/* {"error":"…"}, the status by the error's code. */
void reply_error(struct request *rq, const struct err *e);
void reply_header(struct request *rq, const char *name, const char *value);
/* The same as text, for a body that was to be stored: 413 when it is too much, and would be again. */
void reply_refusal(struct request *rq, const struct err *e);
/* The HTTP status for an error of a handler. */
unsigned error_status(int code);

/* {"a":"1","b":"2"} */
void json_labels(struct buf *b, struct labels l);
/* The same for one set after the other of a sorted list: what a set begins with like the one before is copied from its
 * text, which must still stand in the buffer. The first one follows none: { 0 }. */
enum { LABELS_TEXT_MOST = 64 };
struct labels_text {
    struct labels l;
    size_t start;                  /* in the buffer */
    size_t ends[LABELS_TEXT_MOST]; /* behind each label and its comma, from the start on */
};
void json_labels_after(struct buf *b, struct labels l, struct labels_text *before);
/* ["a","b"] */
void json_strings(struct buf *b, const struct str *v, size_t n);

/* --- sample_json.c --- */

/* A double as Prometheus' JSON writes it, with its quotes: an exponent only below 1e-6 and from 1e21 on, where the type
 * of the result allows one. */
void json_sample_value(struct buf *b, double v, bool exponents);
/* Seconds, with three decimals when they are not zero. */
void json_sample_time(struct buf *b, int64_t ms);
/* What the time before has come to, for the next one. All zero: nothing is known. */
struct time_text {
    int64_t hundreds; /* of seconds */
    size_t n;
    char text[32];
};
/* Appends ,[seconds,"value"] for each of n points, or until b holds a PIECE, or a little more. Returns how many it took;
 * all of them, too, when the buffer fails. */
size_t json_points(struct buf *b, const int64_t *t, const double *v, size_t n, struct time_text *near);

/* --- label_escape.c --- */

/* "http.status" for "U__http_2e_status"; what is not written so stays as it is. */
struct str label_unescape(struct arena *a, struct str s);
/* Whether a name is of the classic alphabet, which has colons for metrics. */
bool label_is_classic(struct str name, bool colons);
/* Appends the name with an underscore for each character that is not. */
void label_flatten(struct buf *out, struct str name, bool colons);

/* --- router.c --- */

extern const struct route routes[];
extern const size_t routes_n;

/* The route for path and method, filling the arguments (raw). NULL: *allowed is 0 (no such path, 404) or the methods
 * that the path has (405). */
const struct route *route_find(const struct route *table, size_t n, struct str path, enum http_method method,
                               struct str arguments[HTTP_MOST_ARGUMENTS], size_t *narguments, unsigned *allowed);
/* "GET, HEAD, OPTIONS" */
void route_allow(unsigned methods, char *out, size_t n);

/* --- guard.c: who may ask --- */

/* Whether a Host header may reach a server that listens on loopback at `bound` (DNS rebinding). */
bool host_is_loopback(struct str host, struct str bound);
/* Whether a web page from `origin` is of this server, as `host` names it. */
bool origin_is_own(struct str origin, struct str host);
bool address_is_loopback(struct str address);

/* --- framing.c: where a request goes and where it ends --- */

/* False: it can be read in two ways; the answer is there. */
bool framing_check(struct request *rq, const char *version);

/* --- work.c: the workers --- */

struct workers *workers_start(unsigned threads, struct err *e);
/* ERR_BUSY: the queue is full. */
int workers_add(struct workers *w, struct request *rq, struct err *e);
void workers_stop(struct workers *w);

/* --- commit.c --- */

/* Hands the batch, which lives in the request's arena, to the store, and calls answer(arg, rc, e) when it is committed
 * or refused, for it to put the answer, on the committer's thread mostly. The request is suspended meanwhile. The caller
 * must not touch it any more. */
void request_commit(struct request *rq, struct batch *b, void (*answer)(void *arg, int rc, const struct err *e),
                    void *arg);

/* --- handlers --- */

void prometheus_query(struct request *rq);
void prometheus_query_range(struct request *rq);
void prometheus_query_exemplars(struct request *rq);
void prometheus_format_query(struct request *rq);
void prometheus_parse_query(struct request *rq);
void prometheus_labels(struct request *rq);
void prometheus_label_values(struct request *rq);
void prometheus_series(struct request *rq);
void prometheus_metadata(struct request *rq);
void prometheus_targets(struct request *rq);
void prometheus_targets_metadata(struct request *rq);
void prometheus_scrape_pools(struct request *rq);
void prometheus_alertmanagers(struct request *rq);
void prometheus_buildinfo(struct request *rq);
void prometheus_runtimeinfo(struct request *rq);
void prometheus_config(struct request *rq);
void prometheus_flags(struct request *rq);
void prometheus_tsdb(struct request *rq);
void prometheus_tsdb_blocks(struct request *rq);
void prometheus_walreplay(struct request *rq);
void prometheus_features(struct request *rq);
void prometheus_notifications(struct request *rq);
void prometheus_delete_series(struct request *rq);
void prometheus_clean_tombstones(struct request *rq);
void prometheus_snapshot(struct request *rq);
void prometheus_federate(struct request *rq);
void prometheus_write(struct request *rq);

void otlp_post_logs(struct request *rq);
void otlp_post_metrics(struct request *rq);
void otlp_post_traces(struct request *rq);

void push_loki(struct request *rq);
void push_zipkin(struct request *rq);
void push_jaeger(struct request *rq);

void loki_query(struct request *rq);
void loki_query_range(struct request *rq);
void loki_labels(struct request *rq);
void loki_label_values(struct request *rq);
void loki_series(struct request *rq);
void loki_index_stats(struct request *rq);
void loki_index_volume(struct request *rq);
void loki_index_volume_range(struct request *rq);
void loki_detected_labels(struct request *rq);
void loki_detected_fields(struct request *rq);
void loki_format_query(struct request *rq);
void loki_buildinfo(struct request *rq);
void loki_tail(struct request *rq);

void jaeger_services(struct request *rq);
void jaeger_service_operations(struct request *rq);
void jaeger_operations(struct request *rq);
void jaeger_search(struct request *rq);
void jaeger_trace(struct request *rq);
void jaeger_dependencies(struct request *rq);
void jaeger_v3_services(struct request *rq);
void jaeger_v3_operations(struct request *rq);
void jaeger_v3_find(struct request *rq);
void jaeger_v3_trace(struct request *rq);

void events_get(struct request *rq);

struct graph_state *graph_state_new(void);
void graph_state_free(struct graph_state *s);
void graph_get(struct request *rq);
void graph_topology(struct request *rq);
void graph_kiali(struct request *rq);
void graph_kiali_workload(struct request *rq);
void graph_kiali_service(struct request *rq);
void graph_kiali_app(struct request *rq);

void mesh_list(struct request *rq);
void mesh_get(struct request *rq);
void mesh_put(struct request *rq);
void mesh_delete(struct request *rq);
void mesh_validate(struct request *rq);
void mesh_get_history(struct request *rq);
void mesh_proxies(struct request *rq);
void mesh_get_snapshot(struct request *rq);

void health_healthy(struct request *rq);
void health_ready(struct request *rq);
void health_reload(struct request *rq);
void metrics_get(struct request *rq);
void static_get(struct request *rq);

#endif
