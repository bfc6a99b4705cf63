/* traces.c: search, and traces put together.
 *
 * Search     Rows of spans that are as asked, newest first, only their trace ids, until there are enough different ones;
 *            then each trace by its id, which is one equality.
 * Reach      A trace that was found is read within an hour around the span that was found: spans of one request are near
 *            each other, and the time range spares the engine its other days. */
#include "query/traces.h"

#include "base/strmap.h"

#include <stdlib.h>

enum { MOST_CONDITIONS = 64, ID_DIGITS = 32, SPAN_ID_DIGITS = 16 };

#define REACH_NS INT64_C(3600000000000)

/* --- conditions --- */

struct conditions {
    struct event_condition v[MOST_CONDITIONS];
    size_t n;
};

static int add(struct conditions *c, struct event_condition one, struct err *e)
{
    if (c->n == MOST_CONDITIONS)
        return err_set(e, ERR_INVALID, "more than %d conditions", MOST_CONDITIONS);
    c->v[c->n++] = one;
    return 0;
}

static int add_text(struct conditions *c, int column, struct str value, struct err *e)
{
    if (value.n == 0)
        return 0;
    return add(c, (struct event_condition){ .column = column, .op = EVENT_EQ, .value.s = value }, e);
}

static int add_number(struct conditions *c, int column, enum event_op op, int64_t value, struct err *e)
{
    return add(c, (struct event_condition){ .column = column, .op = op, .value.i = value }, e);
}

static const struct {
    struct str tag;
    enum event_span_column column;
} tag_columns[] = {
    { STR_INIT("span.kind"), SPAN_kind },
    { STR_INIT("otel.status_description"), SPAN_status_message },
    { STR_INIT("k8s.pod.name"), SPAN_pod },
    { STR_INIT("k8s.namespace.name"), SPAN_namespace },
    { STR_INIT("k8s.deployment.name"), SPAN_workload },
    { STR_INIT("app"), SPAN_app },
    { STR_INIT("service.version"), SPAN_version },
    { STR_INIT("w3c.tracestate"), SPAN_trace_state },
};

static int add_tag(struct conditions *c, const struct label *tag, struct err *e)
{
    enum { STATUS_OK = 1, STATUS_ERROR = 2 };

    if (str_eqz(tag->name, "error"))
        return add_number(c, SPAN_status, str_eqz(tag->value, "false") ? EVENT_NE : EVENT_EQ, STATUS_ERROR, e);
    if (str_eqz(tag->name, "otel.status_code"))
        return add_number(c, SPAN_status, EVENT_EQ,
                          str_ieq(tag->value, STR("ERROR")) ? STATUS_ERROR
                          : str_ieq(tag->value, STR("OK"))  ? STATUS_OK
                                                            : 0,
                          e);
    for (size_t i = 0; i < sizeof(tag_columns) / sizeof(tag_columns[0]); i++)
        if (str_eq(tag->name, tag_columns[i].tag))
            return add(c, (struct event_condition){ .column = tag_columns[i].column, .op = EVENT_EQ, .value.s = tag->value },
                       e);
    return add(c, (struct event_condition){ .column = -1, .attribute = tag->name, .op = EVENT_EQ, .value.s = tag->value }, e);
}

static int add_conditions(struct conditions *c, const struct trace_search *s, struct err *e)
{
    int rc;

    if ((rc = add_text(c, SPAN_service, s->service, e)) < 0 || (rc = add_text(c, SPAN_name, s->operation, e)) < 0 ||
        (rc = add_text(c, SPAN_kind, s->kind, e)) < 0)
        return rc;
    if (s->min_ns && (rc = add_number(c, SPAN_duration_ns, EVENT_GE, s->min_ns, e)) < 0)
        return rc;
    if (s->max_ns && (rc = add_number(c, SPAN_duration_ns, EVENT_LE, s->max_ns, e)) < 0)
        return rc;
    for (size_t i = 0; i < s->ntags; i++)
        if ((rc = add_tag(c, &s->tags[i], e)) < 0)
            return rc;
    return 0;
}

/* --- reading --- */

/* Calls take(arg, page, e) with each page, until it returns not 0: 1 ends it well. What the cursor needs is given back
 * afterwards, as a search opens one for each trace; `a` says how much it may be. */
static int each_page(struct store *st, const struct event_query *q, const struct arena *a,
                     int (*take)(void *arg, const struct event_page *page, struct err *e), void *arg, struct err *e)
{
    struct arena own = ARENA_INIT(a->max);
    struct event_cursor *c;
    struct event_page page = { 0 };
    int rc;

    own.budget = a->budget;
    c = events_open(st, q, &own, e);
    rc = c ? 0 : e->code;
    while (c && rc == 0 && (rc = events_next(c, &page, e)) == 1)
        rc = take(arg, &page, e);
    events_close(c);
    arena_free(&own);
    return rc < 0 ? rc : 0;
}

#define COLUMN(c) ((uint64_t)1 << (c))

/* Which traces there are, each with the time of the newest span that was looked for. */
struct found {
    struct arena *a;
    struct strmap known;
    struct id {
        struct str id;
        int64_t time_ns;
    } *v;
    size_t n, cap, limit;
};

static int take_ids(void *arg, const struct event_page *page, struct err *e)
{
    struct found *f = arg;

    for (size_t i = 0; i < page->n; i++) {
        struct str id = page->columns[SPAN_trace_id][i].s;

        if (strmap_get(&f->known, id))
            continue;
        if (f->n == f->limit)
            return 1;
        id = arena_str(f->a, id);
        if (!id.p || arena_grow(f->a, &f->v, &f->cap, f->n + 1, sizeof(*f->v)) < 0 ||
            strmap_put(&f->known, id, f, NULL) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the traces");
        f->v[f->n++] = (struct id){ id, page->time_ns[i] };
    }
    return f->n == f->limit;
}

/* --- one trace --- */

struct reading {
    struct arena *a;
    struct trace *trace;
    size_t cap;
};

static int copy_texts(struct arena *a, struct trace_span *s)
{
    struct str *const texts[] = { &s->span_id,     &s->parent_id, &s->name, &s->kind, &s->status_message,
                                  &s->trace_state, &s->service,   &s->pod,  &s->ns,   &s->workload,
                                  &s->app,         &s->version,   &s->events, &s->links };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i]->n == 0)
            *texts[i] = STR("");
        else if (!(*texts[i] = arena_str(a, *texts[i])).p)
            return ERR_NOMEM;
    }
    if (s->attributes.n == 0)
        return 0;
    s->attributes = labels_copy(a, s->attributes);
    return s->attributes.v ? 0 : ERR_NOMEM;
}

static struct trace_span span_of(const struct event_page *p, size_t i)
{
#define TEXT(c) p->columns[SPAN_##c][i].s
    return (struct trace_span){
        .time_ns = p->time_ns[i],
        .duration_ns = p->columns[SPAN_duration_ns][i].i,
        .span_id = TEXT(span_id),
        .parent_id = TEXT(parent_span_id),
        .name = TEXT(name),
        .kind = TEXT(kind),
        .status = p->columns[SPAN_status][i].i,
        .status_message = TEXT(status_message),
        .trace_state = TEXT(trace_state),
        .service = TEXT(service),
        .pod = TEXT(pod),
        .ns = TEXT(namespace),
        .workload = TEXT(workload),
        .app = TEXT(app),
        .version = TEXT(version),
        .events = TEXT(events),
        .links = TEXT(links),
        .attributes = p->attributes[i],
    };
#undef TEXT
}

static int take_spans(void *arg, const struct event_page *page, struct err *e)
{
    struct reading *r = arg;
    struct trace *t = r->trace;

    for (size_t i = 0; i < page->n; i++) {
        if (t->n == TRACE_MOST_SPANS) {
            t->left_out++;
            continue;
        }
        if (arena_grow(r->a, &t->spans, &r->cap, t->n + 1, sizeof(*t->spans)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for a trace");
        t->spans[t->n] = span_of(page, i);
        if (copy_texts(r->a, &t->spans[t->n++]) < 0)
            return err_set(e, ERR_NOMEM, "no memory for a trace");
    }
    return 0;
}

/* Equal spans side by side; of one id the caller's half first. */
static int by_id(const void *a, const void *b)
{
    const struct trace_span *x = a, *y = b;
    int order = str_cmp(x->span_id, y->span_id);

    if (order == 0)
        order = str_cmp(x->kind, y->kind); /* "client" before "server" */
    if (order == 0 && x->time_ns != y->time_ns)
        order = x->time_ns < y->time_ns ? -1 : 1;
    if (order == 0)
        order = str_cmp(x->service, y->service);
    return order ? order : (x->duration_ns > y->duration_ns) - (x->duration_ns < y->duration_ns);
}

static int by_time(const void *a, const void *b)
{
    const struct trace_span *x = a, *y = b;

    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->duration_ns != y->duration_ns)
        return x->duration_ns > y->duration_ns ? -1 : 1; /* the outer one first */
    return str_cmp(x->span_id, y->span_id);
}

/* A sender that got no answer sends again: the second of two equal spans goes. `spans` are by_id. */
static void drop_repeated(struct trace *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        if (n == 0 || by_id(&t->spans[n - 1], &t->spans[i]) != 0)
            t->spans[n++] = t->spans[i];
    t->n = n;
}

/* An id that is the same for the same span each time it is read. */
static struct str new_id(struct arena *a, struct str old)
{
    struct str salted = arena_printf(a, "%.*s server", STR_ARG(old));

    return salted.p ? arena_printf(a, "%016llx", (unsigned long long)str_hash_stable(salted)) : STR_NULL;
}

/* Gives server halves of shared spans ids of their own. What names such an id as its parent was begun by the server. */
static int part_shared(struct trace *t, struct arena *a, struct err *e)
{
    struct strmap parted = STRMAP_INIT;
    int rc = 0;

    for (size_t i = 1; rc == 0 && i < t->n; i++) {
        struct trace_span *client = &t->spans[i - 1], *server = &t->spans[i];

        if (!str_eq(client->span_id, server->span_id) || !str_eqz(client->kind, "client") ||
            !str_eqz(server->kind, "server"))
            continue;
        server->parent_id = server->span_id;
        server->span_id = new_id(a, server->span_id);
        if (!server->span_id.p || strmap_put(&parted, server->parent_id, server, NULL) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory for a trace");
    }
    for (size_t i = 0; rc == 0 && parted.n && i < t->n; i++) {
        struct trace_span *server = strmap_get(&parted, t->spans[i].parent_id);

        if (server && server != &t->spans[i])
            t->spans[i].parent_id = server->span_id;
    }
    strmap_free(&parted);
    return rc;
}

static int read_trace(struct store *st, struct str id, int64_t from_ns, int64_t to_ns, struct arena *a, struct trace *out,
                      struct err *e)
{
    const struct event_condition is_it = { .column = SPAN_trace_id, .op = EVENT_EQ, .value.s = id };
    struct event_query q = { .kind = EVENT_SPAN,
                             .from_ns = from_ns,
                             .to_ns = to_ns,
                             .conditions = &is_it,
                             .n = 1,
                             .columns = (COLUMN(SPAN_NCOLUMNS) - 1) & ~COLUMN(SPAN_trace_id),
                             .attributes = true };
    struct reading r = { a, out, 0 };
    int rc;

    *out = (struct trace){ .id = id };
    if ((rc = each_page(st, &q, a, take_spans, &r, e)) < 0 || out->n == 0)
        return rc;
    qsort(out->spans, out->n, sizeof(*out->spans), by_id);
    drop_repeated(out);
    if ((rc = part_shared(out, a, e)) < 0)
        return rc;
    qsort(out->spans, out->n, sizeof(*out->spans), by_time);
    return 0;
}

static int64_t before(int64_t t)
{
    return t < INT64_MIN + REACH_NS ? INT64_MIN : t - REACH_NS;
}

static int64_t behind(int64_t t)
{
    return t > INT64_MAX - REACH_NS ? INT64_MAX : t + REACH_NS;
}

static int by_newest(const void *a, const void *b)
{
    const struct trace *x = a, *y = b;

    if (x->spans[0].time_ns != y->spans[0].time_ns)
        return x->spans[0].time_ns > y->spans[0].time_ns ? -1 : 1;
    return str_cmp(x->id, y->id);
}

int traces_find(struct store *st, const struct trace_search *s, struct arena *a, struct trace **out, size_t *n,
                struct err *e)
{
    struct found f = { .a = a, .known = STRMAP_INIT, .limit = s->limit };
    struct conditions c = { .n = 0 };
    struct event_query q = { .kind = EVENT_SPAN,
                             .from_ns = s->from_ns,
                             .to_ns = s->to_ns,
                             .conditions = c.v,
                             .columns = COLUMN(SPAN_trace_id),
                             .newest_first = true };
    int rc = add_conditions(&c, s, e);

    *out = NULL;
    *n = 0;
    q.n = c.n;
    if (rc == 0 && s->limit)
        rc = each_page(st, &q, a, take_ids, &f, e);
    strmap_free(&f.known);
    if (rc < 0)
        return rc;
    *out = arena_array(a, f.n, sizeof(**out));
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for the traces");
    for (size_t i = 0; i < f.n; i++) {
        if ((rc = read_trace(st, f.v[i].id, before(f.v[i].time_ns), behind(f.v[i].time_ns), a, &(*out)[*n], e)) < 0)
            return rc;
        *n += (*out)[*n].n > 0; /* retention may have taken it meanwhile */
    }
    qsort(*out, *n, sizeof(**out), by_newest);
    return 0;
}

/* Lower case, filled with zeros in front. */
static int full_id(struct str id, struct arena *a, struct str *out, struct err *e)
{
    char *to = arena_alloc(a, ID_DIGITS);

    if (!to)
        return err_set(e, ERR_NOMEM, "no memory for a trace's id");
    if (id.n == 0 || id.n > ID_DIGITS)
        return err_set(e, ERR_INVALID, "trace id \"%.*s\" should be 1 to 32 hexadecimal digits",
                       (int)(id.n < 64 ? id.n : 64), id.p ? id.p : "");
    memset(to, '0', ID_DIGITS);
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i] >= 'A' && id.p[i] <= 'F' ? (char)(id.p[i] | 0x20) : id.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return err_set(e, ERR_INVALID, "trace id \"%.*s\" should be 1 to 32 hexadecimal digits", STR_ARG(id));
        to[ID_DIGITS - id.n + i] = c;
    }
    *out = (struct str){ to, ID_DIGITS };
    return 0;
}

int traces_get(struct store *st, struct str id, int64_t from_ns, int64_t to_ns, struct arena *a, struct trace *out,
               struct err *e)
{
    struct str full;
    int rc;

    if ((rc = full_id(id, a, &full, e)) < 0 || (rc = read_trace(st, full, from_ns, to_ns, a, out, e)) < 0)
        return rc;
    return out->n ? 0 : err_set(e, ERR_NOTFOUND, "trace not found");
}

/* --- services and operations --- */

int traces_services(struct store *st, int64_t from_ns, int64_t to_ns, struct arena *a, struct str **out, size_t *n,
                    struct err *e)
{
    enum { MOST_SERVICES = 10000 };

    return events_distinct(st, EVENT_SPAN, SPAN_service, from_ns, to_ns, MOST_SERVICES, a, out, n, e);
}

static int by_name(const void *a, const void *b)
{
    const struct trace_operation *x = a, *y = b;
    int order = str_cmp(x->name, y->name);

    return order ? order : str_cmp(x->kind, y->kind);
}

int traces_operations(struct store *st, struct str service, struct str kind, int64_t from_ns, int64_t to_ns,
                      struct arena *a, struct trace_operation **out, size_t *n, struct err *e)
{
    enum { MOST_OPERATIONS = 10000 };
    static const struct event_field by[] = { { .column = SPAN_name }, { .column = SPAN_kind } };
    struct conditions c = { .n = 0 };
    struct event_tally t = { .rows = { .kind = EVENT_SPAN, .from_ns = from_ns, .to_ns = to_ns, .conditions = c.v },
                             .by = by,
                             .nby = sizeof(by) / sizeof(by[0]),
                             .measure = EVENT_COUNT,
                             .most_groups = MOST_OPERATIONS };
    struct event_group *groups;
    int rc;

    *out = NULL;
    *n = 0;
    if ((rc = add_text(&c, SPAN_service, service, e)) < 0 || (rc = add_text(&c, SPAN_kind, kind, e)) < 0)
        return rc;
    t.rows.n = c.n;
    if ((rc = events_tally(st, &t, a, &groups, n, e)) < 0)
        return rc;
    *out = arena_array(a, *n, sizeof(**out));
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for the operations");
    for (size_t i = 0; i < *n; i++)
        (*out)[i] = (struct trace_operation){ groups[i].by[0].s, groups[i].by[1].s };
    qsort(*out, *n, sizeof(**out), by_name);
    return 0;
}
