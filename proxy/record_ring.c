/* record_ring.c: records from one worker to telemetry, through a ring of bytes of which only the part is touched that
 * is needed: where the consumer keeps up, the producer goes back to its beginning from time to time.
 *
 * A record lies in the ring as one piece: a `struct encoded` with all numbers and the lengths of all texts, then the
 * texts' bytes one behind the other, padded to 8. One that does not fit between the write position and the ring's end
 * starts at the ring's beginning, as one may anyway; a piece of size 0 tells the reader to go there, too.
 *
 *   0                                                                capacity
 *   | piece | piece |         free         | piece | piece | size 0 |
 *                   ^ head (mod capacity)  ^ tail (mod capacity)
 *
 * Invariants  1. head and tail only grow; head - tail is what is taken, at most the capacity.
 *             2. Only the producer writes head, after the bytes before it (release); only the consumer writes tail,
 *                after it is done with the bytes before it (release). Each reads the other's with acquire.
 *             3. No piece is larger than half of the ring, so that an empty ring takes any piece wherever it stands.
 *
 * The producer keeps a copy of tail, and reads the consumer's cache line only when the ring looks full by that copy. */
#include "proxy/record.h"

#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>

#define COUNT_ONE(field) +1
#define COUNT_NONE(field)
enum {
    NTEXTS = ACCESS_LOG_FIELDS(COUNT_ONE, COUNT_NONE) + 7, /* and RECORD_TEXTS */
    NNUMBERS = ACCESS_LOG_FIELDS(COUNT_NONE, COUNT_ONE),
    LEAST_CAPACITY = 4096,
    STRETCH = 64 * 1024,       /* at the end of each the producer looks how much the consumer has left */
    LEAST_USED = 4,            /* of these before it goes back */
    LONGEST_TEXT = UINT16_MAX, /* what is longer is cut: a head of a request is no longer than that */
    CACHE_LINES = 128          /* two, for processors that fetch them in pairs */
};

/* The texts of a record beside those of the log. */
#define RECORD_TEXTS(X) \
    X(parent_span_id) X(operation) X(span_tags) X(headers) X(direct_remote_address) X(tls) X(metric_tags)

struct encoded {
    uint32_t size; /* of the whole piece; 0: the rest of the ring is unused */
    uint8_t kind;
    bool span_is_client, upstream_http2, no_log, no_span, no_istio_tags;
    uint16_t lengths[NTEXTS];
    uint32_t metrics_off, tries;
    int64_t start_ns;
    int64_t numbers[NNUMBERS];
    int64_t request_us;
    uint64_t request_bytes, response_bytes, received_delta, sent_delta, request_messages, response_messages;
};

/* What stands under the same name in both, and is copied as it is. */
#define SAME_FIELDS(X) \
    X(span_is_client) X(upstream_http2) X(no_log) X(no_span) X(no_istio_tags) X(metrics_off) X(tries) X(request_us) \
    X(request_bytes) X(response_bytes) X(received_delta) X(sent_delta) X(request_messages) X(response_messages)

struct record_ring {
    char *bytes;
    size_t capacity; /* a power of two */
    char apart[CACHE_LINES];
    _Atomic size_t head; /* the producer's line */
    size_t tail_seen;
    size_t most_left;    /* by the consumer, lately */
    _Atomic uint64_t dropped;
    char apart_too[CACHE_LINES];
    _Atomic size_t tail; /* the consumer's line */
    char apart_at_last[CACHE_LINES];
};

static size_t round_up(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

struct record_ring *record_ring_new(size_t bytes)
{
    struct record_ring *r = mem_zalloc(sizeof(*r));
    size_t capacity = LEAST_CAPACITY;

    if (!r)
        return NULL;
    while (capacity < bytes && capacity <= UINT32_MAX / 2)
        capacity *= 2;
    r->capacity = capacity;
    r->bytes = mem_alloc(capacity);
    if (!r->bytes) {
        mem_free(r);
        return NULL;
    }
    return r;
}

void record_ring_free(struct record_ring *r)
{
    if (!r)
        return;
    mem_free(r->bytes);
    mem_free(r);
}

static uint16_t length_of(struct str s)
{
    return s.n > LONGEST_TEXT ? LONGEST_TEXT : (uint16_t)s.n;
}

/* Fills in the numbers and lengths; the piece's size is the result. */
static size_t measure(struct encoded *to, const struct record *rec)
{
    const struct access_log *l = &rec->log;
    size_t t = 0, n = 0, size = sizeof(*to);

    to->kind = (uint8_t)rec->kind;
    to->start_ns = l->start_ns;
#define SAME(field) to->field = rec->field;
    SAME_FIELDS(SAME)
#undef SAME
#define MEASURE(field)                                                                                       \
    to->lengths[t] = length_of(l->field);                                                                    \
    size += to->lengths[t++];
#define NUMBER(field) to->numbers[n++] = l->field;
    ACCESS_LOG_FIELDS(MEASURE, NUMBER)
#undef MEASURE
#undef NUMBER
#define MEASURE(field)                                                                                       \
    to->lengths[t] = length_of(rec->field);                                                                  \
    size += to->lengths[t++];
    RECORD_TEXTS(MEASURE)
#undef MEASURE
    assert(t == NTEXTS && n == NNUMBERS);
    size = round_up(size);
    to->size = (uint32_t)size;
    return size;
}

static char *put(char *to, const char *from, size_t n)
{
    if (n == 0)
        return to;
    memcpy(to, from, n);
    return to + n;
}

static void write_piece(char *to, const struct encoded *head, const struct record *rec)
{
    const struct access_log *l = &rec->log;
    size_t t = 0;

    memcpy(to, head, sizeof(*head));
    to += sizeof(*head);
#define COPY(field) to = put(to, l->field.p, head->lengths[t++]);
#define NOTHING(field)
    ACCESS_LOG_FIELDS(COPY, NOTHING)
#undef COPY
#undef NOTHING
#define COPY(field) to = put(to, rec->field.p, head->lengths[t++]);
    RECORD_TEXTS(COPY)
#undef COPY
}

static bool room_for(struct record_ring *r, size_t head, size_t need)
{
    if (head + need - r->tail_seen <= r->capacity)
        return true;
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return head + need - r->tail_seen <= r->capacity;
}

/* At the end of a stretch. Until the consumer has passed the bytes that are left out, the ring is only as large as its
 * part before `at`: that has to be several times what is needed of late. */
static bool may_go_back(struct record_ring *r, size_t head, size_t at)
{
    size_t left;

    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    left = head - r->tail_seen;
    r->most_left = left > r->most_left ? left : r->most_left - r->most_left / 16;
    return at >= LEAST_USED * STRETCH && left <= at / 8 && r->most_left <= at / 4;
}

/* The bytes to leave out in front of a piece that would begin at `head`. */
static size_t skip_before(struct record_ring *r, size_t head, size_t size)
{
    size_t at = head & (r->capacity - 1), to_end = r->capacity - at;

    if (to_end < size)
        return to_end;
    return at / STRETCH != (at + size) / STRETCH && may_go_back(r, head, at) ? to_end : 0;
}

bool record_ring_push(struct record_ring *r, const struct record *rec)
{
    struct encoded piece;
    size_t size = measure(&piece, rec), head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t at = head & (r->capacity - 1), skip = skip_before(r, head, size);

    if (size > r->capacity / 2 || !room_for(r, head, skip + size)) {
        uint64_t dropped = atomic_load_explicit(&r->dropped, memory_order_relaxed);

        atomic_store_explicit(&r->dropped, dropped + 1, memory_order_relaxed);
        return false;
    }
    if (skip) {
        memset(r->bytes + at, 0, sizeof(piece.size)); /* pieces are multiples of 8, so there is room for this */
        at = 0;
    }
    write_piece(r->bytes + at, &piece, rec);
    atomic_store_explicit(&r->head, head + skip + size, memory_order_release);
    return true;
}

static struct str take(const char **from, uint16_t n)
{
    struct str s = { *from, n };

    *from += n;
    return s;
}

static void read_piece(const char *from, struct record *rec)
{
    struct access_log *l = &rec->log;
    struct encoded piece;
    size_t t = 0, n = 0;

    memcpy(&piece, from, sizeof(piece));
    from += sizeof(piece);
    rec->kind = (enum record_kind)piece.kind;
    l->start_ns = piece.start_ns;
#define SAME(field) rec->field = piece.field;
    SAME_FIELDS(SAME)
#undef SAME
#define TEXT(field) l->field = take(&from, piece.lengths[t++]);
#define NUMBER(field) l->field = piece.numbers[n++];
    ACCESS_LOG_FIELDS(TEXT, NUMBER)
#undef TEXT
#undef NUMBER
#define TEXT(field) rec->field = take(&from, piece.lengths[t++]);
    RECORD_TEXTS(TEXT)
#undef TEXT
}

bool record_ring_peek(struct record_ring *r, struct record *rec)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t at = tail & (r->capacity - 1);
    uint32_t size;

    if (tail == head)
        return false;
    memcpy(&size, r->bytes + at, sizeof(size));
    if (size == 0) { /* a piece follows always: the producer publishes both at once */
        atomic_store_explicit(&r->tail, tail + r->capacity - at, memory_order_release);
        at = 0;
    }
    read_piece(r->bytes + at, rec);
    return true;
}

void record_ring_pop(struct record_ring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t size;

    memcpy(&size, r->bytes + (tail & (r->capacity - 1)), sizeof(size));
    assert(size); /* what was peeked is a piece, never the mark at the ring's end */
    atomic_store_explicit(&r->tail, tail + size, memory_order_release);
}

uint64_t record_ring_dropped(const struct record_ring *r)
{
    return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}
