/* red_sets.c: label sets that have been counted before, and the store's numbers for their series.
 *
 * Problem    A label set has 67 series of 27 labels. Putting them together, and recognising them in the store, costs ten
 *            times what counting the rows does, and a mesh has the same few thousand sets in every batch.
 * Idea       A set is found by one probe with a key made of the raw texts. It keeps the labels that its series share;
 *            name and `le` are the same few for all sets (batch_own). When a set comes again, after a moment, the
 *            store knows its series; their numbers are kept, and a batch that has them needs no label any more.
 * Numbers    A number is never given to another series. That a series is gone the commit sees, and takes the labels;
 *            so that this does not happen for ever, the store is asked again every minute.
 * Bound      Of memory: when it is full a new, empty collection takes the place of the old one, which lives as long as
 *            a batch has views of it. What has no room meanwhile is put together in the batch, as if it were new. */
#include "collector/red-internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"

enum { MOST_MEMORY = 32 << 20 };
static const int64_t known_for_ns = 60000000000, unknown_for_ns = 100000000;

/* --- the collection --- */

static struct red_sets *sets_new(uint64_t number)
{
    struct red_sets *s = mem_zalloc(sizeof(*s));

    if (!s)
        return NULL;
    atomic_init(&s->holders, 1);
    s->number = number;
    pthread_mutex_init(&s->lock, NULL);
    s->memory = (struct arena)ARENA_INIT(MOST_MEMORY);
    s->by_key = (struct strmap)STRMAP_INIT;
    return s;
}

void red_sets_drop(struct red_sets *s)
{
    if (!s || atomic_fetch_sub(&s->holders, 1) > 1)
        return;
    strmap_free(&s->by_key);
    arena_free(&s->memory);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

struct red_sets *red_sets_take(struct red *r)
{
    struct red_sets *s, *old = NULL;

    pthread_mutex_lock(&r->lock);
    if (!r->sets || atomic_load(&r->sets->is_full)) {
        old = r->sets;
        r->sets = sets_new(++r->nsets);
    }
    s = r->sets;
    if (s)
        atomic_fetch_add(&s->holders, 1);
    pthread_mutex_unlock(&r->lock);
    red_sets_drop(old);
    return s;
}

static void let_go(void *sets)
{
    red_sets_drop(sets);
}

int red_sets_lend(struct red_sets *s, struct arena *a)
{
    if (!s)
        return 0;
    if (arena_on_free(a, let_go, s) < 0)
        return ERR_NOMEM;
    atomic_fetch_add(&s->holders, 1);
    return 0;
}

/* --- a set --- */

static bool copy_label(struct arena *a, struct label *to, struct str name, struct str value)
{
    *to = (struct label){name, arena_str(a, value)};
    return to->value.p != NULL;
}

/* In the order of their names, without __name__ and `le`. */
static bool copy_labels(const struct red *r, struct arena *a, struct red_set *set, const struct red_request *q,
                        const char *job)
{
    struct label *v = arena_array(a, ISTIO_LABELS + 1, sizeof(*v));

    if (!v)
        return false;
    for (size_t i = 0; i <= ISTIO_LABELS; i++) {
        struct str value = str_of(job);

        if (r->order[i].at < ISTIO_LABELS) {
            const struct istio_label *l = &istio_labels[r->order[i].at];

            if (l->http_only && !q->is_http)
                continue;
            value = q->label[l->field].n ? q->label[l->field] : l->missing;
        }
        if (value.n && !copy_label(a, &v[set->labels.n++], r->order[i].name, value))
            return false;
    }
    set->labels.v = v;
    return true;
}

static struct red_set *new_set(const struct red *r, struct arena *a, struct str key, const struct red_request *q,
                               const char *job)
{
    struct red_set *set = ARENA_NEW(a, struct red_set);

    if (!set || !copy_labels(r, a, set, q, job))
        return NULL;
    set->key = arena_str(a, key);
    set->is_http = q->is_http;
    return set->key.p ? set : NULL;
}

/* NULL: no room, or no memory. */
static struct red_set *find_or_add(struct red_sets *s, const struct red *r, struct str key, const struct red_request *q,
                                   const char *job)
{
    struct red_set *set;

    pthread_mutex_lock(&s->lock);
    set = strmap_get(&s->by_key, key);
    if (!set) {
        set = new_set(r, &s->memory, key, q, job);
        if (set && strmap_put(&s->by_key, set->key, set, NULL) < 0)
            set = NULL;
        if (!set)
            atomic_store(&s->is_full, true);
    }
    pthread_mutex_unlock(&s->lock);
    return set;
}

struct red_set *red_sets_get(struct red_sets *s, const struct red *r, struct arena *a, struct str key,
                             const struct red_request *q, const char *job)
{
    struct red_set *set = s ? find_or_add(s, r, key, q, job) : NULL;

    if (set)
        return set;
    set = new_set(r, a, key, q, job);
    if (set)
        set->is_passing = true;
    return set;
}

/* --- numbers --- */

static void ask(const struct red *r, struct red_set *set)
{
    struct batch_series series[RED_SERIES];
    struct batch probe = {.series = series, .nseries = RED_SERIES};

    for (size_t i = 0; i < RED_SERIES; i++)
        series[i] = (struct batch_series){.labels = set->labels, .own = &r->own[i]};
    store_recognise(r->store, &probe);
    for (size_t i = 0; i < RED_SERIES; i++)
        set->ids[i] = series[i].id;
}

/* Of a set that is known, the first series is. One that is seen for the first time may be the last of its kind. */
void red_sets_numbers(struct red_sets *s, const struct red *r, struct red_set *set, uint32_t ids[RED_SERIES])
{
    const size_t first = set->is_http ? RED_REQUESTS : RED_TCP;
    int64_t now = clock_mono_ns();

    if (set->is_passing) {
        memset(ids, 0, sizeof(set->ids));
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (now >= set->ask_again_ns) {
        if (set->ask_again_ns)
            ask(r, set);
        set->ask_again_ns = now + (set->ids[first] ? known_for_ns : unknown_for_ns);
    }
    memcpy(ids, set->ids, sizeof(set->ids));
    pthread_mutex_unlock(&s->lock);
}
