#include "collector/scrape_target-internal.h"

#include "base/clock.h"
#include "base/num.h"

static struct str duration_str(struct arena *a, int64_t ms)
{
    char text[CLOCK_TEXT];

    duration_text(text, ms);
    return arena_str(a, str_of(text));
}

static int add_defaults(const struct scrape_job *job, struct label_builder *b)
{
    const struct {
        struct str name, value;
    } defaults[] = {
        { STR("job"), job->name },
        { STR("__scrape_interval__"), duration_str(b->arena, job->interval_ms) },
        { STR("__scrape_timeout__"), duration_str(b->arena, job->timeout_ms) },
        { STR("__metrics_path__"), job->metrics_path },
        { STR("__scheme__"), job->scheme },
    };

    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (!defaults[i].value.p || label_builder_default(b, defaults[i].name, defaults[i].value) < 0)
            return ERR_NOMEM;
    for (size_t i = 0; i < job->nparams; i++) {
        struct str name = arena_printf(b->arena, "__param_%.*s", STR_ARG(job->params[i].name));

        if (!name.p || label_builder_default(b, name, job->params[i].value) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

/* --- URL --- */

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.~", c));
}

static void put_query(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (unreserved(s.p[i]))
            buf_putc(b, s.p[i]);
        else if (s.p[i] == ' ')
            buf_putc(b, '+');
        else
            buf_printf(b, "%%%02X", (unsigned char)s.p[i]);
}

static void put_param(struct buf *b, bool *first, struct str name, struct str value)
{
    buf_putc(b, *first ? '?' : '&');
    *first = false;
    put_query(b, name);
    buf_putc(b, '=');
    put_query(b, value);
}

/* The first value of each parameter is its label __param_NAME, the others come from the configuration. */
static void put_params(struct buf *b, const struct scrape_job *job, struct labels l, bool has_query)
{
    const struct str prefix = STR("__param_");
    bool first = !has_query;

    for (size_t i = 0; i < l.n; i++) {
        struct str name = str_from(l.v[i].name, prefix.n);
        bool seen = false;

        if (!str_starts(l.v[i].name, prefix))
            continue;
        put_param(b, &first, name, l.v[i].value);
        for (size_t k = 0; k < job->nparams; k++) {
            if (!str_eq(job->params[k].name, name))
                continue;
            if (seen)
                put_param(b, &first, name, job->params[k].value);
            seen = true;
        }
    }
}

static struct str make_url(const struct scrape_job *job, struct labels l, struct arena *a)
{
    struct buf b = BUF_INIT(1 << 16);
    struct str path = labels_get(l, STR("__metrics_path__")), url;

    buf_str(&b, labels_get(l, STR("__scheme__")));
    buf_puts(&b, "://");
    buf_str(&b, labels_get(l, STR("__address__")));
    if (path.n && *path.p != '/')
        buf_putc(&b, '/');
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] <= ' ' || path.p[i] == '#' || (unsigned char)path.p[i] >= 0x7f)
            buf_printf(&b, "%%%02X", (unsigned char)path.p[i]);
        else
            buf_putc(&b, path.p[i]);
    put_params(&b, job, l, str_chr(path, '?') >= 0);
    url = buf_failed(&b) ? STR_NULL : arena_str(a, buf_view(&b));
    buf_free(&b);
    return url;
}

/* --- checks --- */

static int read_times(struct labels l, struct target_spec *out, struct err *e)
{
    struct str interval = labels_get(l, STR("__scrape_interval__")), timeout = labels_get(l, STR("__scrape_timeout__"));
    struct err why = ERR_INIT;

    if (duration_parse(interval, &out->interval_ms, &why) < 0)
        return err_set(e, ERR_INVALID, "error parsing scrape interval: %s", why.msg);
    if (out->interval_ms == 0)
        return err_set(e, ERR_INVALID, "scrape interval cannot be 0");
    if (duration_parse(timeout, &out->timeout_ms, &why) < 0)
        return err_set(e, ERR_INVALID, "error parsing scrape timeout: %s", why.msg);
    if (out->timeout_ms == 0)
        return err_set(e, ERR_INVALID, "scrape timeout cannot be 0");
    if (out->timeout_ms > out->interval_ms)
        return err_set(e, ERR_INVALID, "scrape timeout cannot be greater than scrape interval (\"%.*s\" > \"%.*s\")",
                       STR_ARG(timeout), STR_ARG(interval));
    return 0;
}

static int check(struct labels l, struct target_spec *out, struct err *e)
{
    struct str address = labels_get(l, STR("__address__")), scheme = labels_get(l, STR("__scheme__"));

    if (address.n == 0)
        return err_set(e, ERR_INVALID, "no address");
    if (str_chr(address, '/') >= 0 || !str_is_utf8(address))
        return err_set(e, ERR_INVALID, "\"%.*s\" is not a valid hostname", STR_ARG(address));
    if (!str_eqz(scheme, "http") && !str_eqz(scheme, "https"))
        return err_set(e, ERR_INVALID, "\"%.*s\" is not a valid scheme: should be http or https", STR_ARG(scheme));
    for (size_t i = 0; i < l.n; i++)
        if (!str_is_utf8(l.v[i].value))
            return err_set(e, ERR_INVALID, "invalid label value for \"%.*s\"", STR_ARG(l.v[i].name));
    return read_times(l, out, e);
}

static uint64_t hash_of(struct labels l)
{
    uint64_t h = 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < l.n; i++) {
        h = (h ^ str_hash_stable(l.v[i].name)) * 0xff51afd7ed558ccdu;
        h = (h ^ (h >> 32) ^ str_hash_stable(l.v[i].value)) * 0xc4ceb9fe1a85ec53u;
    }
    return h ^ (h >> 29);
}

/* The labels of series: without the names that begin with "__", which are ours. */
static int keep_public(struct label_builder *b, struct target_spec *out)
{
    struct str address = label_builder_get(b, STR("__address__"));

    if (label_builder_default(b, STR("instance"), address) < 0)
        return ERR_NOMEM;
    label_builder_del_prefix(b, STR("__"));
    out->labels = label_builder_view(b);
    return 0;
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a target");
}

int target_resolve(const struct scrape_job *job, const struct target_group *group, struct str address, struct arena *a,
                   struct target_spec *out, struct err *e)
{
    struct label_builder b = LABEL_BUILDER_INIT(a);
    int rc = label_builder_set(&b, STR("__address__"), address);

    *out = (struct target_spec){ .url = STR_NULL };
    for (size_t i = 0; rc == 0 && i < group->labels.n; i++)
        rc = label_builder_default(&b, group->labels.v[i].name, group->labels.v[i].value);
    if (rc < 0 || add_defaults(job, &b) < 0)
        return no_memory(e);
    out->discovered = labels_copy(a, label_builder_view(&b));
    if (!out->discovered.v)
        return no_memory(e);
    rc = relabel_apply(&job->relabel, &b);
    if (rc <= 0)
        return rc < 0 ? no_memory(e) : 0;
    rc = check(label_builder_view(&b), out, e);
    if (rc < 0)
        return rc;
    out->url = make_url(job, label_builder_view(&b), a);
    if (!out->url.p || keep_public(&b, out) < 0)
        return no_memory(e);
    out->labels_hash = hash_of(out->labels);
    out->hash = (out->labels_hash ^ str_hash_stable(out->url)) * 0xff51afd7ed558ccdu;
    out->hash ^= out->hash >> 32;
    return 1;
}

int64_t target_next(uint64_t hash, int64_t interval_ms, int64_t now_ms)
{
    int64_t offset = (int64_t)(hash % (uint64_t)interval_ms), into = now_ms % interval_ms;

    return now_ms - into + offset + (offset > into ? 0 : interval_ms);
}
