#include "proxy/record.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* A record whose every field is a function of `i`, so that the other end can tell whether any was mixed up. */
struct sample {
    struct record rec;
    char texts[ACCESS_LOG_NFIELDS][96];
    char parent[40], operation[600];
};

static void fill(struct sample *s, uint64_t i)
{
    struct access_log *l = &s->rec.log;
    size_t long_by = i % 7 == 0 ? i % 500 : 0;

    memset(&s->rec, 0, sizeof(s->rec));
    access_log_init(l);
    for (int f = 0; f < ACCESS_LOG_NFIELDS; f++) {
        char *at = (char *)l + access_log_fields[f].offset;
        int n = (int)((i + (uint64_t)f) % 5 == 0 ? 0
                      : (uint64_t)snprintf(s->texts[f], sizeof(s->texts[f]), "%d-%llu", f, (unsigned long long)i));

        if (access_log_fields[f].is_text)
            memcpy(at, &(struct str){ s->texts[f], (size_t)n }, sizeof(struct str));
        else
            memcpy(at, &(int64_t){ (int64_t)i + f - 1 }, sizeof(int64_t));
    }
    l->start_ns = (int64_t)(i * 1000);
    s->rec.kind = (enum record_kind)(i % 4);
    s->rec.span_is_client = i % 3 == 0;
    s->rec.request_bytes = i + 1;
    s->rec.response_bytes = i + 2;
    s->rec.received_delta = i + 3;
    s->rec.sent_delta = i + 4;
    s->rec.request_messages = i + 5;
    s->rec.response_messages = i + 6;
    s->rec.request_us = (int64_t)i - 1;
    s->rec.tries = (uint32_t)(i + 7);
    s->rec.metrics_off = (uint32_t)(i + 8);
    s->rec.upstream_http2 = i % 2 == 0;
    s->rec.no_log = i % 5 == 0;
    s->rec.no_span = i % 7 == 0;
    s->rec.no_istio_tags = i % 11 == 0;
    s->rec.span_tags = STR("\1\0a\0\0");
    s->rec.headers = i % 2 ? STR("\377\377") : STR_NULL;
    snprintf(s->parent, sizeof(s->parent), "%016llx", (unsigned long long)i);
    s->rec.parent_span_id = str_of(s->parent);
    memset(s->operation, 'a' + (int)(i % 26), long_by);
    s->rec.operation = (struct str){ s->operation, long_by };
}

static bool same_record(const struct record *a, const struct record *b)
{
    for (int f = 0; f < ACCESS_LOG_NFIELDS; f++) {
        const char *x = (const char *)&a->log + access_log_fields[f].offset;
        const char *y = (const char *)&b->log + access_log_fields[f].offset;
        struct str s, t;

        if (!access_log_fields[f].is_text) {
            if (memcmp(x, y, sizeof(int64_t)) != 0)
                return false;
            continue;
        }
        memcpy(&s, x, sizeof(s));
        memcpy(&t, y, sizeof(t));
        if (!str_eq(s, t))
            return false;
    }
    return a->kind == b->kind && a->span_is_client == b->span_is_client && a->log.start_ns == b->log.start_ns &&
           a->request_bytes == b->request_bytes && a->response_bytes == b->response_bytes &&
           a->received_delta == b->received_delta && a->sent_delta == b->sent_delta &&
           a->request_messages == b->request_messages && a->response_messages == b->response_messages &&
           a->request_us == b->request_us && a->tries == b->tries && a->metrics_off == b->metrics_off &&
           a->upstream_http2 == b->upstream_http2 && a->no_log == b->no_log && a->no_span == b->no_span &&
           a->no_istio_tags == b->no_istio_tags && str_eq(a->span_tags, b->span_tags) &&
           str_eq(a->headers, b->headers) &&
           str_eq(a->parent_span_id, b->parent_span_id) && str_eq(a->operation, b->operation);
}

START_TEST(gives_back_every_field)
{
    struct record_ring *r = record_ring_new(1 << 16);
    struct sample s;
    struct record got;

    for (uint64_t i = 0; i < 30; i++) {
        fill(&s, i);
        ck_assert(record_ring_push(r, &s.rec));
        memset(s.texts, '?', sizeof(s.texts)); /* the ring has copies */
    }
    for (uint64_t i = 0; i < 30; i++) {
        fill(&s, i);
        ck_assert(record_ring_peek(r, &got));
        ck_assert_msg(same_record(&s.rec, &got), "record %llu", (unsigned long long)i);
        ck_assert(record_ring_peek(r, &got)); /* a second look sees the same */
        ck_assert(same_record(&s.rec, &got));
        record_ring_pop(r);
    }
    ck_assert(!record_ring_peek(r, &got));
    ck_assert_uint_eq(record_ring_dropped(r), 0);
    record_ring_free(r);
}
END_TEST

START_TEST(wraps_around)
{
    struct record_ring *r = record_ring_new(8192);
    uint64_t in = 0, out = 0;
    struct sample s;
    struct record got;

    while (in < 20000) {
        for (uint64_t burst = in % 5 + 1; burst; burst--) {
            fill(&s, in);
            if (!record_ring_push(r, &s.rec))
                break;
            in++;
        }
        while (out < in && (out % 3 || in - out > 2)) {
            fill(&s, out);
            ck_assert(record_ring_peek(r, &got));
            ck_assert_msg(same_record(&s.rec, &got), "record %llu", (unsigned long long)out);
            record_ring_pop(r);
            out++;
        }
        if (out % 3 == 0 && out < in) {
            ck_assert(record_ring_peek(r, &got));
            record_ring_pop(r);
            out++;
        }
    }
    record_ring_free(r);
}
END_TEST

/* Who is read as fast as it writes never touches more than the ring's first part. */
START_TEST(an_empty_ring_stays_small)
{
    enum { CAPACITY = 4 * 1024 * 1024, PART = CAPACITY / 4 };
    struct record_ring *r = record_ring_new(CAPACITY);
    const char *least = NULL, *most = NULL;
    size_t bytes = 0;
    struct sample s;
    struct record got;

    for (uint64_t i = 1; bytes < 4 * CAPACITY; i++) {
        fill(&s, i);
        ck_assert(record_ring_push(r, &s.rec));
        ck_assert(record_ring_peek(r, &got));
        ck_assert(same_record(&s.rec, &got));
        least = !least || got.span_tags.p < least ? got.span_tags.p : least;
        most = got.span_tags.p > most ? got.span_tags.p : most;
        bytes += 512 + got.operation.n;
        record_ring_pop(r);
    }
    ck_assert_uint_lt((size_t)(most - least), PART);
    ck_assert_uint_eq(record_ring_dropped(r), 0);
    record_ring_free(r);
}
END_TEST

START_TEST(full_ring_drops_the_newest_and_counts)
{
    struct record_ring *r = record_ring_new(10000);
    uint64_t kept = 0;
    struct sample s;
    struct record got;

    for (uint64_t i = 0; i < 1000; i++) {
        fill(&s, i);
        if (!record_ring_push(r, &s.rec))
            break;
        kept++;
    }
    ck_assert_uint_gt(kept, 10); /* 16 KiB, and a record takes less than 1 KiB */
    ck_assert_uint_lt(kept, 100);
    ck_assert_uint_eq(record_ring_dropped(r), 1);
    ck_assert(!record_ring_push(r, &s.rec));
    ck_assert_uint_eq(record_ring_dropped(r), 2);
    for (uint64_t i = 0; i < kept; i++) {
        fill(&s, i);
        ck_assert(record_ring_peek(r, &got));
        ck_assert(same_record(&s.rec, &got));
        record_ring_pop(r);
    }
    ck_assert(!record_ring_peek(r, &got));
    ck_assert(record_ring_push(r, &s.rec)); /* and there is room again */
    record_ring_free(r);
}
END_TEST

static const struct {
    size_t text, ring;
    bool fits;
    size_t kept;
} sizes[] = {
    { 0, 0, true, 0 },
    { 1500, 4096, true, 1500 },
    { 3000, 4096, false, 0 }, /* more than half of the ring */
    { 3000, 8192, true, 3000 },
    { 65535, 1 << 20, true, 65535 },
    { 70000, 1 << 20, true, 65535 }, /* cut */
};

START_TEST(bounds_texts)
{
    struct record_ring *r = record_ring_new(sizes[_i].ring);
    char *text = malloc(sizes[_i].text + 1);
    struct record rec = { .kind = RECORD_HTTP }, got;

    access_log_init(&rec.log);
    memset(text, 'x', sizes[_i].text + 1);
    rec.log.path = (struct str){ text, sizes[_i].text };
    rec.operation = STR("op");
    for (int round = 0; round < 50; round++) { /* wherever the ring stands */
        ck_assert(record_ring_push(r, &rec) == sizes[_i].fits);
        ck_assert(record_ring_peek(r, &got) == sizes[_i].fits);
        if (!sizes[_i].fits)
            continue;
        ck_assert_uint_eq(got.log.path.n, sizes[_i].kept);
        ck_assert(str_starts((struct str){ text, sizes[_i].text }, got.log.path));
        ck_assert(str_eq(got.operation, STR("op")));
        record_ring_pop(r);
    }
    ck_assert_uint_eq(record_ring_dropped(r), sizes[_i].fits ? 0 : 50);
    free(text);
    record_ring_free(r);
}
END_TEST

struct race {
    struct record_ring *ring;
    uint64_t total, pushed;
    atomic_bool done;
};

static void *produce(void *arg)
{
    struct race *race = arg;
    struct sample s;

    for (uint64_t i = 0; i < race->total; i++) {
        fill(&s, i);
        race->pushed += record_ring_push(race->ring, &s.rec);
    }
    atomic_store(&race->done, true);
    return NULL;
}

/* What arrives is a subsequence of what was sent, each record whole; what is missing was counted. */
START_TEST(two_threads)
{
    struct race race = { record_ring_new(1 << 14), 50000, 0, false };
    uint64_t got = 0, next = 0;
    pthread_t producer;
    struct sample s;
    struct record rec;
    bool done;

    ck_assert_int_eq(pthread_create(&producer, NULL, produce, &race), 0);
    do {
        done = atomic_load(&race.done);
        while (record_ring_peek(race.ring, &rec)) {
            uint64_t i = rec.request_bytes - 1;

            ck_assert_uint_ge(i, next);
            next = i + 1;
            fill(&s, i);
            ck_assert(same_record(&s.rec, &rec));
            record_ring_pop(race.ring);
            got++;
        }
    } while (!done);
    pthread_join(producer, NULL);
    ck_assert_uint_eq(got, race.pushed);
    ck_assert_uint_eq(got + record_ring_dropped(race.ring), race.total);
    record_ring_free(race.ring);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct record_ring *r;

        mem_fail_at(n);
        r = record_ring_new(4096);
        ck_assert((r == NULL) == (mem_has_failed() != 0));
        mem_fail_at(0);
        record_ring_free(r);
        if (r)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("record_ring");
    TCase *t = tcase_create("record_ring");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, gives_back_every_field);
    tcase_add_test(t, wraps_around);
    tcase_add_test(t, an_empty_ring_stays_small);
    tcase_add_test(t, full_ring_drops_the_newest_and_counts);
    tcase_add_loop_test(t, bounds_texts, 0, COUNT(sizes));
    tcase_add_test(t, two_threads);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
