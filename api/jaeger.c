#include "api/jaeger-internal.h"

#include "base/clock.h"
#include "base/strmap.h"

#include <jansson.h>

/* --- a trace's processes --- */

/* Within 15 digits, so that JavaScript reads it back; without zeros in front, so that it is the same text again. */
static bool is_whole(struct str s)
{
    size_t sign = s.n && s.p[0] == '-';

    if (s.n == sign || s.n > 15 || (s.p[sign] == '0' && (s.n > 1)))
        return false;
    for (size_t i = sign; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

enum jaeger_type jaeger_type(struct str value)
{
    if (str_eqz(value, "true") || str_eqz(value, "false"))
        return JAEGER_BOOL;
    return is_whole(value) ? JAEGER_INT64 : JAEGER_STRING;
}

static bool same_process(const struct trace_span *x, const struct trace_span *y)
{
    return str_eq(x->service, y->service) && str_eq(x->pod, y->pod) && str_eq(x->ns, y->ns) &&
           str_eq(x->workload, y->workload) && str_eq(x->app, y->app) && str_eq(x->version, y->version);
}

static int process_of(struct jaeger_trace *t, struct arena *a, struct strmap *known, size_t *cap,
                      const struct trace_span *s, uint32_t *process)
{
    struct str key = arena_printf(a, "%.*s\n%.*s\n%.*s\n%.*s\n%.*s\n%.*s", STR_ARG(s->service), STR_ARG(s->pod),
                                  STR_ARG(s->ns), STR_ARG(s->workload), STR_ARG(s->app), STR_ARG(s->version));
    uintptr_t at = key.p ? (uintptr_t)strmap_get(known, key) : 0;

    if (!key.p)
        return ERR_NOMEM;
    if (!at) {
        if (arena_grow(a, &t->processes, cap, t->nprocesses + 1, sizeof(*t->processes)) < 0 ||
            strmap_put(known, key, (void *)(t->nprocesses + 1), NULL) < 0)
            return ERR_NOMEM;
        t->processes[t->nprocesses++] = s;
        at = t->nprocesses;
    }
    *process = (uint32_t)(at - 1);
    return 0;
}

static int find_processes(struct jaeger_trace *t, struct arena *a)
{
    struct strmap known = STRMAP_INIT;
    const struct trace_span *spans = t->trace->spans;
    size_t cap = 0;
    int rc = 0;

    t->process = arena_array(a, t->trace->n, sizeof(*t->process));
    if (!t->process)
        return ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < t->trace->n; i++) {
        if (i && same_process(&spans[i - 1], &spans[i]))
            t->process[i] = t->process[i - 1];
        else
            rc = process_of(t, a, &known, &cap, &spans[i], &t->process[i]);
    }
    strmap_free(&known);
    return rc;
}

static int find_all_processes(struct jaeger_cursor *x, struct arena *a, const struct trace *traces)
{
    x->traces = arena_array(a, x->n, sizeof(*x->traces));
    if (!x->traces)
        return ERR_NOMEM;
    for (size_t i = 0; i < x->n; i++) {
        x->traces[i].trace = &traces[i];
        if (find_processes(&x->traces[i], a) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

void jaeger_answer(struct request *rq, const struct jaeger_version *v, const struct trace *traces, size_t n)
{
    struct jaeger_cursor *x = ARENA_NEW(&rq->arena, struct jaeger_cursor); /* is read while the answer is sent */
    struct err e = ERR_INIT;

    if (x)
        x->n = n;
    if (!x || find_all_processes(x, &rq->arena, traces) < 0) {
        err_set(&e, ERR_NOMEM, "no memory for the traces");
        v->fail(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, v->head);
    reply_pieces(rq, v->more, x);
}

size_t jaeger_process_tags(struct buf *b, const struct trace_span *p,
                           void (*put)(struct buf *b, struct str key, struct str value, bool first))
{
    const struct label tags[] = {
        { STR_INIT("k8s.pod.name"), p->pod },          { STR_INIT("k8s.namespace.name"), p->ns },
        { STR_INIT("k8s.deployment.name"), p->workload }, { STR_INIT("app"), p->app },
        { STR_INIT("service.version"), p->version },
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (tags[i].value.n)
            put(b, tags[i].name, tags[i].value, n++ == 0);
    return n;
}

/* --- what is searched for --- */

int jaeger_tag_add(struct request *rq, struct str key, struct str value, struct trace_search *s, struct err *e)
{
    struct label *v = arena_array(&rq->arena, s->ntags + 1, sizeof(*v));

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the tags");
    if (s->ntags)
        memcpy(v, s->tags, s->ntags * sizeof(*v));
    v[s->ntags++] = (struct label){ key, value };
    s->tags = v;
    return 0;
}

int jaeger_tags(struct request *rq, struct str json, struct trace_search *s, struct err *e)
{
    json_t *tags = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *key;
    int rc = json_is_object(tags) ? 0 : err_set(e, ERR_INVALID, "malformed 'tags' parameter: should be {\"name\":\"value\"}");

    json_object_foreach(tags, key, value) {
        struct str name = arena_str(&rq->arena, str_of(key)), text = STR_NULL;

        if (rc == 0 && !json_is_string(value))
            rc = err_set(e, ERR_INVALID, "malformed 'tags' parameter: %s should be a string", key);
        if (rc == 0)
            text = arena_str(&rq->arena, str_of(json_string_value(value)));
        if (rc == 0 && (!name.p || !text.p))
            rc = err_set(e, ERR_NOMEM, "no memory for the tags");
        if (rc == 0)
            rc = jaeger_tag_add(rq, name, text, s, e);
    }
    json_decref(tags);
    return rc;
}

int jaeger_duration(struct str text, const char *name, int64_t *ns, struct err *e)
{
    int rc = duration_parse_go(text, ns, e);

    return rc < 0 ? err_set(e, ERR_INVALID, "unable to parse param '%s': \"%.*s\" should be as 1.2s, 100ms, 500us", name,
                            STR_ARG(text))
                  : 0;
}
