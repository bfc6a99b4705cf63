/* red_peers.c: what is remembered of spans, so that both ends of a call know each other.
 *
 * Problem    A span names its own service only; caller and called are two spans, and mostly come in two batches, as
 *            each process sends its own: whose comes first is chance.
 * Idea       Recent spans are kept by trace and id in a table of fixed size, four places to a bucket, the oldest is
 *            overwritten: who comes second finds the first. And where a call's other end was found so, its host name is
 *            learned: the next call to that host knows where it goes before the other end has told.
 * Awaited    Who was counted before the caller came is remembered, too, with the label set it was counted by: the
 *            caller's span finds it, once, so that it can be told that this one is counted twice (red_spans.c).
 * Left out   Holding back a span until its other half comes: what is counted would not be what is committed with it. */

#include "collector/red-internal.h"

#include "base/arena.h"
#include "base/mem.h"

enum { BUCKETS = 1 << 14, WAYS = 4, MOST_MEMORY = 8 << 20 /* of parties and hosts */, LONGEST_KEY = 4096 };

struct seen {
    uint64_t id; /* of role, trace and span; 0: empty */
    const struct red_party *party;
    uint64_t order; /* of arrival */
};

/* Stands under two ids, as either may be the caller's. */
struct awaited {
    uint64_t id, twin; /* id 0: empty */
    struct red_awaiting by;
    uint64_t order;
};

struct red_peers {
    struct arena names;
    struct strmap parties;   /* struct red_party by its texts */
    struct strmap hosts;     /* struct host by namespace and name */
    struct seen *seen;       /* BUCKETS * WAYS */
    struct awaited *awaited; /* BUCKETS * WAYS */
    struct buf key;          /* of the look-up at hand */
    uint64_t order;
};

struct host {
    const struct red_party *party; /* NULL: several are reached by it */
};

struct red_peers *red_peers_new(void)
{
    struct red_peers *p = mem_zalloc(sizeof(*p));

    if (!p)
        return NULL;
    p->names = (struct arena)ARENA_INIT(MOST_MEMORY);
    p->key = (struct buf)BUF_INIT(LONGEST_KEY);
    p->seen = mem_zalloc(BUCKETS * WAYS * sizeof(*p->seen));
    p->awaited = mem_zalloc(BUCKETS * WAYS * sizeof(*p->awaited));
    if (p->seen && p->awaited)
        return p;
    red_peers_free(p);
    return NULL;
}

void red_peers_free(struct red_peers *p)
{
    if (!p)
        return;
    strmap_free(&p->parties);
    strmap_free(&p->hosts);
    arena_free(&p->names);
    buf_free(&p->key);
    mem_free(p->seen);
    mem_free(p->awaited);
    mem_free(p);
}

/* --- parties --- */

/* Texts, each behind a zero. */
static void put_texts(struct buf *key, const struct str *texts, size_t n)
{
    buf_reset(key);
    for (size_t i = 0; i < n; i++) {
        buf_str(key, texts[i]);
        buf_putc(key, '\0');
    }
}

static bool copy_party(struct arena *a, struct red_party *to, const struct red_party *from)
{
    *to = (struct red_party){arena_str(a, from->ns), arena_str(a, from->workload), arena_str(a, from->app),
                             arena_str(a, from->version), arena_str(a, from->service)};
    return to->ns.p && to->workload.p && to->app.p && to->version.p && to->service.p;
}

static struct red_party *add_party(struct red_peers *p, struct str key, const struct red_party *texts)
{
    struct red_party *party = ARENA_NEW(&p->names, struct red_party);
    struct str kept = arena_str(&p->names, key);

    if (!party || !kept.p || !copy_party(&p->names, party, texts) || strmap_put(&p->parties, kept, party, NULL) < 0)
        return NULL;
    return party;
}

const struct red_party *red_peers_party(struct red_peers *p, const struct red_party *texts)
{
    const struct str all[] = {texts->ns, texts->workload, texts->app, texts->version, texts->service};
    struct red_party *party;

    put_texts(&p->key, all, sizeof(all) / sizeof(all[0]));
    if (buf_failed(&p->key))
        return NULL;
    party = strmap_get(&p->parties, buf_view(&p->key));
    return party ? party : add_party(p, buf_view(&p->key), texts);
}

/* --- spans --- */

static uint64_t id_of(int role, struct str trace, struct str span)
{
    char key[64];
    size_t n = 0;
    uint64_t id;

    key[n++] = (char)role;
    if (!trace.n || !span.n || trace.n + span.n > sizeof(key) - n)
        return 0; /* no ids of OpenTelemetry's: 32 and 16 digits */
    memcpy(key + n, trace.p, trace.n);
    n += trace.n;
    memcpy(key + n, span.p, span.n);
    id = str_hash((struct str){key, n + span.n});
    return id ? id : 1;
}

static struct seen *bucket(const struct red_peers *p, uint64_t id)
{
    return &p->seen[(id % BUCKETS) * WAYS];
}

void red_peers_note(struct red_peers *p, enum red_role role, struct str trace, struct str span,
                    const struct red_party *party)
{
    uint64_t id = id_of(role, trace, span);
    struct seen *s = bucket(p, id), *oldest = s;

    if (!id || !party)
        return;
    for (size_t i = 0; i < WAYS && oldest->id != id; i++)
        if (s[i].id == id || s[i].order < oldest->order)
            oldest = &s[i];
    *oldest = (struct seen){id, party, ++p->order};
}

const struct red_party *red_peers_find(const struct red_peers *p, enum red_role role, struct str trace, struct str span)
{
    uint64_t id = id_of(role, trace, span);
    const struct seen *s = bucket(p, id);

    for (size_t i = 0; id && i < WAYS; i++)
        if (s[i].id == id)
            return s[i].party;
    return NULL;
}

/* --- who is awaited --- */

/* What an id is in this table; beyond the roles, so that no hash is of both. */
enum { AS_PARENT = RED_SENT_BELOW + 1, AS_HALF };

static struct awaited *awaited_bucket(const struct red_peers *p, uint64_t id)
{
    return &p->awaited[(id % BUCKETS) * WAYS];
}

static void put_awaited(struct red_peers *p, uint64_t id, uint64_t twin, const struct red_awaiting *w)
{
    struct awaited *s = awaited_bucket(p, id), *oldest = s;

    for (size_t i = 0; i < WAYS && oldest->id; i++)
        if (!s[i].id || s[i].order < oldest->order)
            oldest = &s[i];
    *oldest = (struct awaited){id, twin, *w, p->order};
}

void red_peers_await(struct red_peers *p, struct str trace, struct str span, struct str parent,
                     const struct red_awaiting *w)
{
    uint64_t above = id_of(AS_PARENT, trace, parent), half = id_of(AS_HALF, trace, span);

    if (!above || !half)
        return;
    p->order++;
    put_awaited(p, above, half, w);
    put_awaited(p, half, above, w);
}

/* NULL: nobody. */
static struct awaited *find_awaited(const struct red_peers *p, uint64_t id, const struct red_party *served_by)
{
    struct awaited *s = awaited_bucket(p, id);

    for (size_t i = 0; id && i < WAYS; i++)
        if (s[i].id == id && (!served_by || s[i].by.party == served_by))
            return &s[i];
    return NULL;
}

static void forget_twin(struct red_peers *p, const struct awaited *a)
{
    struct awaited *s = awaited_bucket(p, a->twin);

    for (size_t i = 0; i < WAYS; i++)
        if (s[i].id == a->twin && s[i].twin == a->id)
            s[i].id = 0;
}

bool red_peers_awaiting(struct red_peers *p, struct str trace, struct str span, const struct red_party *served_by,
                        struct red_awaiting *out)
{
    struct awaited *a = find_awaited(p, id_of(AS_PARENT, trace, span), served_by);

    if (!a && !served_by)
        a = find_awaited(p, id_of(AS_HALF, trace, span), NULL);
    if (!a)
        return false;
    *out = a->by;
    forget_twin(p, a);
    a->id = 0;
    return true;
}

/* --- hosts --- */

static struct host *find_host(struct red_peers *p, struct str ns, struct str name)
{
    const struct str all[] = {ns, name};

    put_texts(&p->key, all, sizeof(all) / sizeof(all[0]));
    return buf_failed(&p->key) ? NULL : strmap_get(&p->hosts, buf_view(&p->key));
}

static void add_host(struct red_peers *p, struct str key, const struct red_party *party)
{
    struct host *h = ARENA_NEW(&p->names, struct host);
    struct str kept = arena_str(&p->names, key);

    if (!h || !kept.p)
        return;
    h->party = party;
    if (strmap_put(&p->hosts, kept, h, NULL) < 0)
        h->party = NULL; /* nobody finds it: it is learned the next time */
}

void red_peers_learn(struct red_peers *p, struct str ns, struct str name, const struct red_party *party)
{
    struct host *h = find_host(p, ns, name);

    if (h && h->party != party)
        h->party = NULL;
    else if (!h && name.n && party && !buf_failed(&p->key))
        add_host(p, buf_view(&p->key), party);
}

const struct red_party *red_peers_at(struct red_peers *p, struct str ns, struct str name)
{
    const struct host *h = find_host(p, ns, name);

    return h ? h->party : NULL;
}
