/* otlp_rows.c: attributes of log records and spans: to columns, and to what a row has beside them.
 *
 * Problem    A record of an access log has forty attributes, and ten million of them come in a minute: to look up
 *            each key, to sort what is left, to copy it, would cost more than all that follows.
 * Idea       Records of one sender have the same keys in the same order. So a key is tried first against the one that
 *            came after the one before it the last time; and what has no column is put in order as it was in the row
 *            before, when the keys are the same. Rows that have nothing of their own share the attributes of their
 *            resource.
 * Invariant  Two keys of a request with the same name are the same struct otlp_key. */

#include "collector/otlp-internal.h"

/* --- keys --- */

/* Milliseconds in Envoy's and Istio's labels, microseconds here; their start_time is the record's time. */
static void find_column(struct otlp_key *k)
{
    k->factor = 1000;
    k->column = OTLP_IGNORED;
    if (str_eqz(k->name, "duration"))
        k->column = ACCESS_LOG_duration_us;
    else if (str_eqz(k->name, "upstream_service_time"))
        k->column = ACCESS_LOG_upstream_service_time_us;
    else if (!str_eqz(k->name, "start_time")) {
        k->factor = 1;
        k->column = access_log_field_index(k->name); /* OTLP_NO_COLUMN when there is none */
    }
}

struct otlp_key *otlp_key(struct otlp_context *c, struct str name)
{
    struct otlp_key *k = strmap_get(&c->keys, name);

    if (k)
        return k;
    k = ARENA_NEW(c->arena, struct otlp_key);
    if (!k || strmap_put(&c->keys, name, k, NULL) < 0)
        return NULL;
    k->name = name;
    find_column(k);
    return k;
}

/* The next key of the item. */
static int next_key(struct otlp_context *c, struct str name, struct otlp_key **out, struct err *e)
{
    struct otlp_key *k = c->last_key->after;
    int rc;

    if (!k || !str_eq(k->name, name)) {
        if ((rc = otlp_text(name, "an attribute's key", e)) < 0)
            return rc;
        if (!(k = otlp_key(c, name)))
            return err_set(e, ERR_NOMEM, "no memory for an attribute");
        c->last_key->after = k;
    }
    c->last_key = k;
    *out = k;
    return 0;
}

/* --- pairs --- */

/* A length of one or two bytes at *p; what it is of lies before `end`. */
static inline bool read_length(const uint8_t **p, const uint8_t *end, size_t *n)
{
    const uint8_t *q = *p;

    if (q == end)
        return false;
    *n = *q++;
    if (*n >= 0x80) {
        if (q == end || *q >= 0x80)
            return false;
        *n = (*n & 0x7f) | (size_t)*q++ << 7;
    }
    *p = q;
    return *n <= (size_t)(end - q);
}

static inline bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 63 && *p < end; shift += 7) {
        uint8_t c = *(*p)++;

        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

/* What most attributes are: a key, then a string or an integer, and nothing else. False: it is another, to be read
 * with more care. Forty to a record, so byte by byte: a reader's fields go through memory, and that takes three times
 * as long. */
static bool read_plain(struct str key_value, struct str *key, struct otlp_pair *p)
{
    enum { KEY = 1 << 3 | PB_BYTES, VALUE = 2 << 3 | PB_BYTES, STRING = 1 << 3 | PB_BYTES, INT = 3 << 3 | PB_VARINT };
    const uint8_t *at = (const uint8_t *)key_value.p, *end = at + key_value.n;
    uint64_t number;
    size_t n;

    if (at == end || *at++ != KEY || !read_length(&at, end, &n))
        return false;
    *key = (struct str){(const char *)at, n};
    at += n;
    if (at == end || *at++ != VALUE || !read_length(&at, end, &n) || n != (size_t)(end - at) || n == 0)
        return false;
    if (*at == STRING) {
        at++;
        if (!read_length(&at, end, &n) || n != (size_t)(end - at))
            return false;
        p->text = (struct str){(const char *)at, n};
        p->is_number = false;
        return true;
    }
    if (*at++ != INT || !read_varint(&at, end, &number) || at != end)
        return false;
    p->number = (int64_t)number;
    p->is_number = true;
    return true;
}

static int name_fault(struct err *e, int rc, struct str key)
{
    if (rc != ERR_PARSE && rc != ERR_NOMEM)
        err_wrap(e, "attribute \"%.*s\"", STR_ARG(key));
    return rc;
}

static int read_pair(struct otlp_context *c, struct str key_value, struct otlp_pair *p, struct err *e)
{
    struct str key, value;
    struct otlp_key *k;
    int rc;

    if (read_plain(key_value, &key, p)) {
        rc = next_key(c, key, &k, e);
        if (rc == 0 && !p->is_number && (rc = otlp_text(p->text, "an attribute's value", e)) < 0)
            name_fault(e, rc, key);
    } else {
        *p = (struct otlp_pair){0};
        if ((rc = otlp_read_pair(key_value, &key, &value, e)) == 0)
            rc = next_key(c, key, &k, e);
        if (rc == 0 && (rc = otlp_value_text(c->arena, value, &p->text, e)) < 0)
            name_fault(e, rc, key);
    }
    if (rc == 0)
        p->key = k;
    return rc;
}

int otlp_get_pair(struct otlp_context *c, const struct pb_field *f, struct err *e)
{
    int rc = pb_want(f, PB_BYTES, e);

    if (rc < 0)
        return rc;
    if (c->npairs == OTLP_MOST_ATTRIBUTES)
        return err_set(e, ERR_LIMIT, "more than %d attributes", OTLP_MOST_ATTRIBUTES);
    rc = read_pair(c, f->bytes, &c->pairs[c->npairs], e);
    c->npairs += rc == 0;
    return rc;
}

int otlp_pair_text(struct arena *a, const struct otlp_pair *p, struct str *out, struct err *e)
{
    *out = p->is_number ? arena_printf(a, "%lld", (long long)p->number) : p->text;
    return p->is_number && !out->p ? err_set(e, ERR_NOMEM, "no memory for a value") : 0;
}

/* --- what has no column --- */

/* Whether a column of the table holds the resource's attribute. */
static bool has_column(enum event_kind kind, struct str name)
{
    static const char *const everywhere[] = {"k8s.pod.name", "k8s.namespace.name", "k8s.deployment.name", "app",
                                             "service.version"};

    for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++)
        if (str_eqz(name, everywhere[i]))
            return true;
    return (kind != EVENT_ACCESS_LOG && str_eqz(name, "service.name")) ||
           (kind == EVENT_LOG && str_eqz(name, "k8s.container.name"));
}

static struct str name_at(const struct otlp_order *o, size_t i)
{
    return i < o->nkeys ? o->keys[i]->name : o->fixed[i - o->nkeys].name;
}

/* Puts it where its name belongs, unless there is one of that name: who comes first wins. */
static void put_in_order(struct otlp_order *o, size_t i)
{
    struct str name = name_at(o, i);
    size_t lo = 0, hi = o->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(name_at(o, o->from[mid]), name);

        if (c == 0)
            return;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    memmove(&o->from[lo + 1], &o->from[lo], (o->n - lo) * sizeof(o->from[0]));
    o->from[lo] = (uint16_t)i;
    o->n++;
}

static void read_fixed(const struct otlp_context *c, enum event_kind kind, struct otlp_order *o)
{
    const struct otlp_attributes *from = &c->resource.attributes;

    o->nfixed = 0;
    for (size_t i = 0; i < from->n; i++)
        if (!has_column(kind, from->v[i].name))
            o->fixed[o->nfixed++] = from->v[i];
    if (kind == EVENT_ACCESS_LOG)
        return;
    otlp_put_absent(o->fixed, &o->nfixed, STR("otel.scope.name"), c->scope_name);
    otlp_put_absent(o->fixed, &o->nfixed, STR("otel.scope.version"), c->scope_version);
}

static bool has_keys(const struct otlp_order *o, const struct otlp_pair *v, size_t n)
{
    if (!o->is_valid || n != o->nkeys)
        return false;
    for (size_t i = 0; i < n; i++)
        if (v[i].key != o->keys[i])
            return false;
    return true;
}

static void find_order(const struct otlp_context *c, enum event_kind kind, struct otlp_order *o,
                       const struct otlp_pair *v, size_t n)
{
    if (!o->is_valid)
        read_fixed(c, kind, o);
    o->is_valid = true;
    o->nkeys = n;
    o->n = 0;
    o->shared = (struct labels){NULL, 0};
    for (size_t i = 0; i < n; i++)
        o->keys[i] = v[i].key;
    for (size_t i = n;
         i-- > 0;) /* of two of the same key the last counts, of the item's and the resource's the item's */
        put_in_order(o, i);
    for (size_t i = n + o->nfixed; i-- > n;)
        put_in_order(o, i);
}

int otlp_row_attributes(struct otlp_context *c, enum event_kind kind, const struct otlp_pair *v, size_t n,
                        struct labels *out, struct err *e)
{
    struct otlp_order *o = &c->order[kind];
    struct label *to;
    int rc = 0;

    if (!has_keys(o, v, n))
        find_order(c, kind, o, v, n);
    *out = o->shared;
    if (o->n == 0 || o->shared.v)
        return 0;
    if (!(to = arena_alloc(c->arena, o->n * sizeof(*to))))
        return err_set(e, ERR_NOMEM, "no memory for a row's attributes");
    *out = (struct labels){to, 0};
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        size_t from = o->from[i];

        to->name = name_at(o, from);
        if (from >= n)
            to->value = o->fixed[from - n].value;
        else
            rc = otlp_pair_text(c->arena, &v[from], &to->value, e);
        to += to->value.n > 0;
    }
    out->n = (size_t)(to - out->v);
    if (n == 0)
        o->shared = *out;
    return rc;
}

/* --- columns --- */

int otlp_expect_rows(struct otlp_context *c, enum event_kind kind, struct err *e)
{
    const struct event_rows *r = &c->batch->events[kind];
    size_t more = c->expected ? c->expected : 1;

    c->expected = 0;
    if (r->n + more <= r->cap || batch_reserve_events(c->batch, kind, more) == 0)
        return 0;
    return err_set(e, ERR_NOMEM, "no memory for %zu rows", more);
}

int otlp_set_text(struct otlp_context *c, enum event_kind kind, int column, struct str text)
{
    return text.n ? batch_set_event(c->batch, kind, column, (union event_value){.s = text}) : 0;
}

int otlp_set_number(struct otlp_context *c, enum event_kind kind, int column, int64_t number)
{
    return batch_set_event(c->batch, kind, column, (union event_value){.i = number});
}
