/* The manager with a store and a server of its own, which answers from memory; readers ask all the while. */
#include "collector/scrape.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "store/series.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a server: one connection after the other, one answer each --- */

struct pages {
    int fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    char page[4096]; /* for every path */
    int status;
    atomic_bool stop;
};

static void answer(struct pages *p, int fd)
{
    char request[8192], reply[5000];
    int n = 0;

    if (recv(fd, request, sizeof(request), 0) > 0) {
        pthread_mutex_lock(&p->lock);
        n = snprintf(reply, sizeof(reply),
                     "HTTP/1.1 %d OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                     p->status, strlen(p->page), p->page);
        pthread_mutex_unlock(&p->lock);
    }
    if (n > 0)
        (void)!send(fd, reply, (size_t)n, MSG_NOSIGNAL);
    close(fd);
}

static void *serve(void *arg)
{
    struct pages *p = arg;

    while (!atomic_load(&p->stop)) {
        int fd = accept(p->fd, NULL, NULL);

        if (fd >= 0)
            answer(p, fd);
    }
    return NULL;
}

static void pages_set(struct pages *p, int status, const char *page)
{
    pthread_mutex_lock(&p->lock);
    p->status = status;
    snprintf(p->page, sizeof(p->page), "%s", page);
    pthread_mutex_unlock(&p->lock);
}

static void pages_start(struct pages *p, const char *page)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);

    memset(p, 0, sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
    pages_set(p, 200, page);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(p->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(p->fd, 64), 0);
    ck_assert_int_eq(getsockname(p->fd, (struct sockaddr *)&at, &n), 0);
    p->port = ntohs(at.sin_port);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void pages_stop(struct pages *p)
{
    atomic_store(&p->stop, true);
    shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->fd);
    pthread_mutex_destroy(&p->lock);
}

/* --- the scene --- */

struct scene {
    struct pages pages;
    char dir[64];
    struct store *store;
    struct scrape *scrape;
};

/* @ stands for the server's address. */
static struct scrape_config *read_config(struct scene *s, const char *text)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf b = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    const struct yaml_node *root;
    struct scrape_config *c;

    for (; *text; text++)
        if (*text == '@')
            buf_printf(&b, "127.0.0.1:%u", s->pages.port);
        else
            buf_putc(&b, *text);
    ck_assert_msg(yaml_read_one(&a, "f", buf_view(&b), &root, &e) == 0, "%s", e.msg);
    c = scrape_config_read("f", root, &e);
    ck_assert_msg(c != NULL, "%s", e.msg);
    buf_free(&b);
    arena_free(&a);
    return c;
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

#define FAST "global: {scrape_interval: 50ms, scrape_timeout: 50ms}\nscrape_configs:\n"

static void scene_start(struct scene *s, const char *config, size_t queue_bytes)
{
    const struct store_options options = { .queue_bytes = queue_bytes };
    struct err e = ERR_INIT;

    log_set_level(LOG_ERROR);
    pages_start(&s->pages, "a{x=\"1\"} 1\na{x=\"2\"} 2\n");
    snprintf(s->dir, sizeof(s->dir), "/tmp/vigla-scrape-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->store = store_open(s->dir, &options, &e);
    ck_assert_msg(s->store != NULL, "%s", e.msg);
    s->scrape = scrape_start(s->store, read_config(s, config), &e);
    ck_assert_msg(s->scrape != NULL, "%s", e.msg);
}

static void scene_stop(struct scene *s)
{
    scrape_stop(s->scrape);
    store_close(s->store);
    pages_stop(&s->pages);
    nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* How many series of that name have a last sample that is no stale marker; *last is the highest of these. */
static size_t alive(struct scene *s, const char *name, double *last)
{
    struct arena a = ARENA_INIT(0);
    struct matcher m;
    struct series_query q = { .matchers = &m, .n = 1, .to_ms = INT64_MAX };
    struct series_set *set;
    struct sample_columns c;
    struct labels l;
    size_t n = 0;

    matcher_init(&m, &a, MATCH_EQ, STR("__name__"), str_of(name), NULL);
    set = series_open(s->store, &q, &a, NULL);
    ck_assert_ptr_nonnull(set);
    while (series_next(set, &l, NULL) == 1) {
        double v = 0;
        uint64_t bits;

        while (series_samples(set, &c, NULL) == 1)
            v = c.v[c.n - 1];
        memcpy(&bits, &v, sizeof(bits));
        if (bits != SAMPLE_STALE_BITS) {
            *last = n == 0 || v > *last ? v : *last;
            n++;
        }
    }
    arena_free(&a);
    return n;
}

static void wait_alive(struct scene *s, const char *name, size_t want, double value)
{
    double last = 0;
    size_t n = 0;

    for (int i = 0; i < 1000; i++) {
        n = alive(s, name, &last);
        if (n == want && (n == 0 || last == value))
            return;
        usleep(10000);
    }
    ck_abort_msg("%s: %zu alive, the last one %g; should be %zu, %g", name, n, last, want, value);
}

/* --- readers --- */

struct reader {
    struct scene *scene;
    pthread_t thread;
    atomic_bool stop;
    size_t most;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;

    while (!atomic_load(&r->stop)) {
        struct arena a = ARENA_INIT(0);
        struct scrape_targets t;
        struct scrape_metric *m;
        struct scrape_stats stats;
        size_t n;

        ck_assert_int_eq(scrape_targets(r->scene->scrape, &a, &t, NULL), 0);
        ck_assert_int_eq(scrape_metadata(r->scene->scrape, STR(""), &a, &m, &n, NULL), 0);
        scrape_stats(r->scene->scrape, &stats);
        r->most = t.nactive > r->most ? t.nactive : r->most;
        arena_free(&a);
        usleep(1000);
    }
    return NULL;
}

START_TEST(lives_through_changes)
{
    static const char simple[] = FAST "- {job_name: one, static_configs: [{targets: ['@']}]}\n";
    static const char other[] = FAST "- {job_name: two, static_configs: [{targets: ['@'], labels: {l: v}}]}\n"
                                     "- job_name: one\n  static_configs: [{targets: ['@']}]\n"
                                     "  metric_relabel_configs: [{target_label: m, replacement: n}]\n";
    struct scene s;
    struct reader r = { .scene = &s };
    struct scrape_stats stats;

    scene_start(&s, simple, 0);
    ck_assert_int_eq(pthread_create(&r.thread, NULL, read_on, &r), 0);
    wait_alive(&s, "a", 2, 2);
    wait_alive(&s, "up", 1, 1);
    pages_set(&s.pages, 200, "# TYPE a counter\na{x=\"2\"} 7\n");
    wait_alive(&s, "a", 1, 7);
    pages_set(&s.pages, 500, "");
    wait_alive(&s, "a", 0, 0);
    wait_alive(&s, "up", 1, 0);
    pages_set(&s.pages, 200, "a{x=\"2\"} 8\n");
    wait_alive(&s, "up", 1, 1);
    for (int i = 0; i < 8; i++) {
        scrape_apply(s.scrape, read_config(&s, i % 2 ? simple : other));
        usleep(30000);
    }
    wait_alive(&s, "a", 1, 8);
    wait_alive(&s, "up", 1, 1);
    scrape_apply(s.scrape, read_config(&s, ""));
    wait_alive(&s, "up", 0, 0);
    wait_alive(&s, "a", 0, 0);
    atomic_store(&r.stop, true);
    pthread_join(r.thread, NULL);
    ck_assert_uint_eq(r.most, 2);
    scrape_stats(s.scrape, &stats);
    ck_assert(stats.scrapes > stats.failures && stats.failures > 0 && stats.samples > 0);
    ck_assert_uint_eq(stats.not_stored, 0);
    scene_stop(&s);
}
END_TEST

START_TEST(shows_its_targets)
{
    struct scene s;
    struct arena a = ARENA_INIT(0);
    struct scrape_targets t;
    struct scrape_metric *m;
    size_t n;

    scene_start(&s, FAST "- job_name: one\n  static_configs: [{targets: ['@', 'x:1', 'y:1'], labels: {__meta_l: v}}]\n"
                         "  keep_dropped_targets: 1\n"
                         "  relabel_configs: [{source_labels: [__address__], regex: '[xy].*', action: drop}]\n"
                         "- {job_name: empty}\n", 0);
    pages_set(&s.pages, 200, "# HELP a A thing.\n# TYPE a gauge\na 1\n# TYPE b counter\n");
    wait_alive(&s, "a", 1, 1);
    ck_assert_int_eq(scrape_targets(s.scrape, &a, &t, NULL), 0);
    ck_assert_uint_eq(t.npools, 2);
    ck_assert(str_eqz(t.pools[0].name, "one") && t.pools[0].active == 1 && t.pools[0].dropped == 2);
    ck_assert(str_eqz(t.pools[1].name, "empty") && t.pools[1].active == 0);
    ck_assert_uint_eq(t.nactive, 1);
    ck_assert(str_eqz(labels_get(t.active[0].labels, STR("job")), "one"));
    ck_assert(str_eqz(labels_get(t.active[0].discovered, STR("__meta_l")), "v"));
    ck_assert_int_eq(t.active[0].health, SCRAPE_UP);
    ck_assert_uint_eq(t.active[0].last_error.n, 0);
    ck_assert(llabs(clock_now_ms() - t.active[0].last_scrape_ms) < 10000 && t.active[0].last_duration_s > 0);
    ck_assert_uint_eq(t.ndropped, 1);
    ck_assert_int_eq(scrape_metadata(s.scrape, STR("a"), &a, &m, &n, NULL), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert(str_eqz(m[0].metadata.help, "A thing.") && str_eqz(m[0].metadata.type, "gauge"));
    ck_assert_int_eq(scrape_metadata(s.scrape, STR(""), &a, &m, &n, NULL), 0);
    ck_assert_uint_eq(n, 2);
    pages_set(&s.pages, 404, "");
    wait_alive(&s, "up", 1, 0);
    ck_assert_int_eq(scrape_targets(s.scrape, &a, &t, NULL), 0);
    ck_assert_int_eq(t.active[0].health, SCRAPE_DOWN);
    ck_assert(str_eqz(t.active[0].last_error, "server returned HTTP status 404 Not Found"));
    arena_free(&a);
    scene_stop(&s);
}
END_TEST

/* --- a store that takes no more --- */

static void hold(void *arg, int rc, const struct err *e)
{
    (void)rc;
    (void)e;
    pthread_mutex_lock(arg); /* the committer stands still until the test lets go */
    pthread_mutex_unlock(arg);
}

START_TEST(counts_what_the_store_refuses)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    static const struct label labels[] = { { STR_INIT("__name__"), STR_INIT("held") } };
    const struct sample sample = { 1000, 1 };
    struct arena a = ARENA_INIT(0);
    struct batch b;
    struct scrape_stats stats = { 0 };
    struct scene s;

    scene_start(&s, FAST "- job_name: one\n  static_configs:\n  - {targets: ['@'], labels: {l: '1'}}\n"
                         "  - {targets: ['@'], labels: {l: '2'}}\n", 1);
    wait_alive(&s, "a", 4, 2);
    pthread_mutex_lock(&gate);
    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_series(&b, &(struct batch_series){ .labels = { labels, 1 }, .samples = &sample, .n = 1 }), 0);
    while (store_submit(s.store, &b, hold, &gate, NULL) < 0)
        usleep(1000);
    for (int i = 0; i < 1000 && stats.not_stored < 5; i++) {
        usleep(10000);
        scrape_stats(s.scrape, &stats);
    }
    ck_assert(stats.not_stored >= 5);
    pages_set(&s.pages, 200, "a{x=\"2\"} 9\n"); /* x="1" ends meanwhile, and that must not be lost */
    usleep(200000);
    pthread_mutex_unlock(&gate);
    wait_alive(&s, "a", 2, 9);
    wait_alive(&s, "up", 2, 1);
    scene_stop(&s);
    arena_free(&a);
    pthread_mutex_destroy(&gate);
}
END_TEST

START_TEST(stops_at_once)
{
    struct scene s;

    scene_start(&s, FAST "- {job_name: one, static_configs: [{targets: ['@', '127.0.0.1:1', 'nowhere.invalid:1']}]}\n", 0);
    usleep(1000 * (useconds_t)(20 * _i));
    scene_stop(&s);
    scrape_stop(NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("collector/scrape");
    TCase *t = tcase_create("scrape");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, lives_through_changes);
    tcase_add_test(t, shows_its_targets);
    tcase_add_test(t, counts_what_the_store_refuses);
    tcase_add_loop_test(t, stops_at_once, 0, 5);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
