/* Any configuration, and the targets it names: nothing may crash, and
 *   - a configuration that is read is read the same again;
 *   - a target that is to be scraped has sorted labels with job and instance, none of which begins with "__", a URL,
 *     times that fit, and resolves to the same again;
 *   - relabelling leaves a set without empty values and without double names. */
#include "base/buf.h"
#include "base/err.h"
#include "collector/scrape_config-internal.h"
#include "collector/scrape_target-internal.h"

#include <stdlib.h>

enum { MOST_TEXT = 1 << 14, MOST_TARGETS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_labels(struct labels l)
{
    for (size_t i = 0; i < l.n; i++)
        if (l.v[i].value.n == 0 || (i && str_cmp(l.v[i - 1].name, l.v[i].name) >= 0))
            abort();
}

static void check_target(const struct scrape_job *job, const struct target_group *g, struct str address)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct target_spec one, two;
    int rc = target_resolve(job, g, address, &a, &one, NULL);

    if (rc >= 0)
        check_labels(one.discovered);
    if (rc == 1) {
        check_labels(one.labels);
        if (labels_get(one.labels, STR("instance")).n == 0 || !str_starts(one.url, STR("http")) ||
            one.timeout_ms < 1 || one.timeout_ms > one.interval_ms)
            abort();
        for (size_t i = 0; i < one.labels.n; i++)
            if (str_starts(one.labels.v[i].name, STR("__")))
                abort();
        rc = target_resolve(job, g, address, &a, &two, NULL);
        if (rc != ERR_NOMEM && (rc != 1 || two.hash != one.hash || labels_cmp(one.labels, two.labels) != 0))
            abort();
    }
    arena_free(&a);
}

static void check_relabel(const struct relabel_rules *rules)
{
    static const struct label sample[] = { { STR_INIT("__name__"), STR_INIT("a_total") }, { STR_INIT("a"), STR_INIT("1") },
                                           { STR_INIT("b"), STR_INIT("x-y") } };
    struct arena a = ARENA_INIT(4 << 20);
    struct label_builder b = LABEL_BUILDER_INIT(&a);

    for (size_t i = 0; i < sizeof(sample) / sizeof(sample[0]); i++)
        if (label_builder_set(&b, sample[i].name, sample[i].value) < 0)
            abort();
    if (relabel_apply(rules, &b) == 1)
        check_labels(label_builder_view(&b));
    arena_free(&a);
}

static void check_job(const struct scrape_job *job)
{
    if (job->name.n == 0 || job->interval_ms < 1 || job->timeout_ms > job->interval_ms)
        abort();
    check_relabel(&job->metric_relabel);
    for (size_t i = 0; i < job->ndiscovery; i++)
        for (size_t k = 0; k < job->discovery[i].ngroups && k < MOST_TARGETS; k++)
            for (size_t n = 0; n < job->discovery[i].groups[k].ntargets && n < MOST_TARGETS; n++)
                check_target(job, &job->discovery[i].groups[k], job->discovery[i].groups[k].targets[n]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(64 << 20);
    const struct yaml_node *root;
    struct scrape_config *c = NULL, *again;

    if (size > MOST_TEXT)
        return 0;
    if (yaml_read_one(&a, "f", (struct str){ (const char *)data, size }, &root, NULL) == 0 &&
        !yaml_get(root, "scrape_config_files"))
        c = scrape_config_read("f", root, NULL);
    if (c) {
        again = scrape_config_read("f", root, NULL);
        if (!again || again->n != c->n)
            abort();
        for (size_t i = 0; i < c->n; i++) {
            if (c->jobs[i].fingerprint != again->jobs[i].fingerprint)
                abort();
            check_job(&c->jobs[i]);
        }
        scrape_config_free(again);
    }
    scrape_config_free(c);
    arena_free(&a);
    return 0;
}
