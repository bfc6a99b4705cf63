/* red_known.c: whose requests come as metrics, too, so that their log lines and spans must not count again.
 *
 * The store is asked for the series of the last minutes: a proxy that is scraped shows every scrape, the bundled one
 * at least once a minute. Each tells who reports it: by pod where a scrape or a resource named one, by workload, by
 * service.
 *
 * The first rows of a workload may come before its first sample, and a look may be some seconds old: what was counted
 * until then stays, under a job of its own. A look costs time in the order of the series of the mesh; it is taken by
 * a thread that has rows to count, at most a fiftieth of the time, while the others go on with the last one. */

#include "collector/red-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/series.h"

enum { LOOK_MEMORY = 16 << 20, LONGEST_NAME = 4096 };
static const int64_t look_every_ns = 5000000000, look_share = 50, look_back_ms = 600000;

struct red_known {
    size_t holders;
    struct arena names;
    struct strmap by_name; /* of put_name; the value's address is names' `marks` plus bits */
};

static char marks[4]; /* a bit set as a pointer: strmap has no NULL values */

static void put_name(struct buf *key, struct str reporter, char kind, struct str ns, struct str name)
{
    buf_reset(key);
    buf_putc(key, kind);
    buf_str(key, reporter);
    buf_putc(key, '\0');
    buf_str(key, ns);
    buf_putc(key, '\0');
    buf_str(key, name);
}

static unsigned bits_of(const struct red_known *k, struct str key)
{
    const char *mark = strmap_get(&k->by_name, key);

    return mark ? (unsigned)(mark - marks) : 0;
}

static int note(struct red_known *k, struct buf *key, unsigned bits)
{
    unsigned old;
    struct str name;

    if (buf_failed(key))
        return 0; /* a name that no row can have */
    old = bits_of(k, buf_view(key));
    if ((old | bits) == old)
        return 0;
    name = arena_str(&k->names, buf_view(key));
    return name.p ? strmap_put(&k->by_name, name, &marks[old | bits], NULL) : ERR_NOMEM;
}

static int note_series(struct red_known *k, struct buf *key, struct labels l)
{
    struct str reporter = labels_get(l, STR("reporter")), job = labels_get(l, STR("job"));
    bool is_source = str_eqz(reporter, "source");
    struct str ns = labels_get(l, is_source ? STR("source_workload_namespace") : STR("destination_workload_namespace"));
    struct str workload = labels_get(l, is_source ? STR("source_workload") : STR("destination_workload"));
    struct str service =
        labels_get(l, is_source ? STR("source_canonical_service") : STR("destination_canonical_service"));
    struct str pod = labels_get(l, STR("pod"));
    unsigned bits = str_eqz(job, RED_LOGS_JOB) ? RED_BY_LOGS : RED_BY_METRICS;
    int rc = 0;

    put_name(key, reporter, 'w', ns, workload);
    rc = note(k, key, bits);
    put_name(key, reporter, 's', ns, service);
    if (rc == 0)
        rc = note(k, key, bits);
    put_name(key, reporter, 'p', labels_get(l, STR("namespace")), pod);
    return rc == 0 && pod.n ? note(k, key, bits) : rc;
}

static int read_series(struct store *st, struct red_known *k, struct arena *a, struct err *e)
{
    const int64_t now = clock_now_ms();
    struct matcher m[2];
    const struct series_query q = {m, 2, now - look_back_ms, INT64_MAX, true};
    struct series_set *set;
    struct buf key = BUF_INIT(LONGEST_NAME);
    struct labels l;
    int rc;

    if (matcher_init(&m[0], a, MATCH_RE, STR("__name__"),
                     STR("istio_requests_total|istio_tcp_connections_opened_total"), e) < 0 ||
        matcher_init(&m[1], a, MATCH_NE, STR("job"), STR(RED_SPANS_JOB), e) < 0)
        return ERR_NOMEM;
    set = series_open(st, &q, a, e);
    rc = set ? 1 : ERR_NOMEM;
    while (rc == 1 && (rc = series_next(set, &l, e)) == 1)
        rc = note_series(k, &key, l) < 0 ? ERR_NOMEM : 1;
    buf_free(&key);
    return rc;
}

static void known_free(struct red_known *k)
{
    strmap_free(&k->by_name);
    arena_free(&k->names);
    mem_free(k);
}

/* NULL: it cannot be known now, and what was known before goes on. */
static struct red_known *look(struct store *st)
{
    struct red_known *k = mem_zalloc(sizeof(*k));
    struct arena a = ARENA_INIT(0); /* bounded by the index */
    int rc = ERR_NOMEM;

    if (k) {
        *k = (struct red_known){.holders = 1, .names = ARENA_INIT(LOOK_MEMORY), .by_name = STRMAP_INIT};
        rc = read_series(st, k, &a, NULL);
    }
    arena_free(&a);
    if (rc == 0)
        return k;
    if (k)
        known_free(k);
    return NULL;
}

static void look_again(struct red *r)
{
    int64_t began = clock_mono_ns(), took;
    struct red_known *k = look(r->store), *old = NULL;

    took = clock_mono_ns() - began;
    pthread_mutex_lock(&r->lock);
    if (k) {
        old = r->known;
        r->known = k;
    }
    r->looking = false;
    r->look_again_ns = began + (took * look_share > look_every_ns ? took * look_share : look_every_ns);
    pthread_mutex_unlock(&r->lock);
    red_known_drop(r, old);
}

struct red_known *red_known_take(struct red *r)
{
    struct red_known *k;
    bool mine;

    pthread_mutex_lock(&r->lock);
    mine = !r->looking && clock_mono_ns() >= r->look_again_ns;
    r->looking |= mine;
    pthread_mutex_unlock(&r->lock);
    if (mine)
        look_again(r);
    pthread_mutex_lock(&r->lock);
    k = r->known;
    if (k)
        k->holders++;
    pthread_mutex_unlock(&r->lock);
    return k;
}

void red_known_drop(struct red *r, struct red_known *k)
{
    bool last;

    if (!k)
        return;
    pthread_mutex_lock(&r->lock);
    last = --k->holders == 0;
    pthread_mutex_unlock(&r->lock);
    if (last)
        known_free(k);
}

static unsigned bits_by(const struct red_known *k, struct buf *key, const struct red_reporter *who, char kind,
                        struct str name)
{
    if (name.n == 0)
        return 0;
    put_name(key, who->reporter, kind, who->ns, name);
    return buf_failed(key) ? 0 : bits_of(k, buf_view(key));
}

unsigned red_known_elsewhere(const struct red_known *k, const struct red_reporter *who, struct buf *scratch)
{
    unsigned bits;

    if (!k || k->by_name.n == 0)
        return 0;
    bits = bits_by(k, scratch, who, 'p', who->pod);
    if (!bits)
        bits = who->workload.n ? bits_by(k, scratch, who, 'w', who->workload)
                               : bits_by(k, scratch, who, 's', who->service);
    return bits;
}
