/* settings.c: the configuration file: any option of the server under its own name, and prometheus.yml's keys as they are,
 * so that a prometheus.yml may be given whole. */
#include "cmd/settings-internal.h"

#include "base/file.h"
#include "base/log.h"
#include "base/yaml.h"
#include "mesh/object.h"

#include <inttypes.h>

enum { MOST_BYTES = 8 << 20, MOST_MEMORY = 128 << 20 };

static const struct settings defaults = {
    .listen = "127.0.0.1:20001", .durability = "process", .log_level = "info", .retention_ms = 15LL * 86400000,
    .query_timeout_ms = 120000, .query_lookback_ms = 300000, .query_max_samples = 50000000, .threads = 4,
    .max_body = 32u << 20, .queue = 64u << 20, .memory_limit = (size_t)2 << 30, .query_cache = 32u << 20,
};

void settings_init(struct settings_file *f)
{
    *f = (struct settings_file){ .arena = ARENA_INIT(MOST_MEMORY), .now = defaults, .text = BUF_INIT(MOST_BYTES) };
    pthread_mutex_init(&f->lock, NULL);
}

static void inputs_free(struct settings_inputs *in)
{
    scrape_config_free(in->scrape);
    syslog_config_free(in->syslog);
    tail_config_free(in->tail);
    *in = (struct settings_inputs){ NULL, NULL, NULL };
}

void settings_fini(struct settings_file *f)
{
    pthread_mutex_destroy(&f->lock);
    inputs_free(&f->inputs);
    buf_free(&f->text);
    arena_free(&f->arena);
}

void settings_options(struct settings *s, struct option out[SETTINGS_OPTIONS])
{
    const struct option options[SETTINGS_OPTIONS] = {
        { "data", 0, OPTION_TEXT, "DIR", "where the data lives; made when missing", &s->data },
        { "config", 0, OPTION_TEXT, "FILE", "YAML: these options (the command line wins), scrape_configs, syslog, file_tail",
          &s->config },
        { "listen", 0, OPTION_TEXT, "HOST:PORT", "127.0.0.1:20001; port 0 picks a free one", &s->listen },
        { "otlp-grpc", 0, OPTION_TEXT, "HOST:PORT|none", "127.0.0.1:4317; for OpenTelemetry's and Envoy's senders",
          &s->otlp_grpc },
        { "syslog", 0, OPTION_TEXT, "HOST:PORT|none", "none; for syslog by UDP and TCP, usually 127.0.0.1:5514", &s->syslog },
        { "retention", 0, OPTION_DURATION, "TIME", "15d; how long data is kept, 0: for ever", &s->retention_ms },
        { "durability", 0, OPTION_TEXT, "process|power", "process; what an acknowledgement survives", &s->durability },
        { "max-body", 0, OPTION_SIZE, "SIZE", "32MiB; the largest request, unpacked", &s->max_body },
        { "queue", 0, OPTION_SIZE, "SIZE", "64MiB; of batches that wait to be stored", &s->queue },
        { "memory-limit", 0, OPTION_SIZE, "SIZE", "2GiB; of all requests and queries together", &s->memory_limit },
        { "threads", 0, OPTION_NUMBER, "N", "4; for requests", &s->threads },
        { "query-timeout", 0, OPTION_DURATION, "TIME", "2m", &s->query_timeout_ms },
        { "query-lookback", 0, OPTION_DURATION, "TIME", "5m; how old a sample an instant may use", &s->query_lookback_ms },
        { "query-cache", 0, OPTION_SIZE, "SIZE", "32MiB; of results of range queries that are kept, 0: none",
          &s->query_cache },
        { "query-max-samples", 0, OPTION_NUMBER, "N", "50000000; in memory for one query", &s->query_max_samples },
        { "enable-admin-api", 0, OPTION_FLAG, NULL, "allow /api/v1/admin/tsdb/...", &s->admin },
        { "log-level", 0, OPTION_TEXT, "LEVEL", "info; debug, info, warn or error", &s->log_level },
    };

    memcpy(out, options, sizeof(options));
}

int settings_find_file(struct settings_file *f, int argc, char **argv, struct err *e)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            f->path = argv[i] + 9;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 == argc)
            return err_set(e, ERR_INVALID, "serve: --config: a value is missing: FILE");
        else if (strcmp(argv[i], "--config") == 0)
            f->path = argv[++i];
    }
    return 0;
}

/* One reading of the file. */
struct reading {
    const char *path;
    struct arena *arena; /* of the texts in `to` */
    struct settings *to;
    struct buf *text;    /* of the file; in the end without its secrets */
};

static bool one_of(struct str key, const char *const *keys)
{
    while (*keys && !str_eqz(key, *keys))
        keys++;
    return *keys != NULL;
}

static int take_member(const struct reading *r, const struct option *options, const struct yaml_node *member,
                       struct err *e)
{
    static const char *const elsewhere[] = { "global", "scrape_configs", "scrape_config_files", "file_tail", NULL };
    static const char *const not_yet[] = { "rule_files", "alerting", "remote_write", "remote_read",
                                           "storage",    "tracing",  "otlp",         "runtime", NULL };
    const char *key = arena_cstr(r->arena, member->key), *value = arena_cstr(r->arena, yaml_text(member));

    if (one_of(member->key, elsewhere) || (str_eqz(member->key, "syslog") && member->kind == YAML_MAP))
        return 0;
    if (one_of(member->key, not_yet)) {
        log_info("%s:%d: %.*s: ignored: not offered yet", r->path, member->line, STR_ARG(member->key));
        return 0;
    }
    if (!key || !value)
        return err_set(e, ERR_NOMEM, "%s: no memory", r->path);
    if (member->kind == YAML_LIST || member->kind == YAML_MAP || member->kind == YAML_NULL)
        err_set(e, ERR_INVALID, "%s: should have one value", key);
    else if (options_set(options, SETTINGS_OPTIONS, key, value, e) == 0)
        return 0;
    return err_wrap(e, "%s:%d", r->path, member->line);
}

/* The tree is ours alone: what nobody should read over the API is taken out of it. */
static void hide_secrets(struct yaml_node *items, size_t n)
{
    static const char *const secrets[] = { "password", "credentials", "bearer_token", "secrets", "client_secret",
                                           "secret_key", NULL };
    static const char *const urls[] = { "url", "proxy_url", NULL };
    static const char *const keys[] = { "key", NULL };

    for (size_t i = 0; i < n; i++) {
        struct yaml_node *item = &items[i];

        if (one_of(item->key, secrets) || (one_of(item->key, urls) && str_chr(item->text, '@') >= 0) ||
            (one_of(item->key, keys) && str_find(item->text, STR("PRIVATE KEY")) >= 0))
            *item = (struct yaml_node){ .kind = YAML_STRING, .key = item->key, .text = STR("<secret>") };
        else
            hide_secrets(item->items, item->n);
    }
}

/* The file's text as it may be shown. */
static int show(const struct reading *r, const struct yaml_node *root, struct err *e)
{
    const struct mesh_object whole = { .root = root };

    buf_reset(r->text);
    if (root) {
        hide_secrets(root->items, root->n);
        mesh_object_yaml(r->text, &whole);
    }
    return buf_failed(r->text) ? err_set(e, ERR_NOMEM, "%s: no memory", r->path) : 0;
}

/* What the root says of each; none: `root` NULL. On failure nothing is left in *in. */
static int read_inputs(const char *path, const struct yaml_node *root, struct settings_inputs *in, struct err *e)
{
    *in = (struct settings_inputs){ NULL, NULL, NULL };
    in->scrape = scrape_config_read(path, root, e);
    in->syslog = in->scrape ? syslog_config_read(path, root, e) : NULL;
    in->tail = in->syslog ? tail_config_read(path, root, e) : NULL;
    if (in->tail)
        return 0;
    inputs_free(in);
    return e->code;
}

static int read_file(const struct reading *r, struct settings_inputs *in, struct err *e)
{
    struct option options[SETTINGS_OPTIONS];
    const struct yaml_node *root;
    int rc = file_read(r->path, r->text, e);

    if (rc == 0)
        rc = yaml_read_one(r->arena, r->path, arena_str(r->arena, buf_view(r->text)), &root, e);
    if (rc == 0 && root && root->kind != YAML_MAP)
        rc = err_set(e, ERR_PARSE, "%s:1: should be one map of options, as in `retention: 15d`", r->path);
    settings_options(r->to, options);
    for (size_t i = 0; rc == 0 && root && i < root->n; i++)
        rc = take_member(r, options, &root->items[i], e);
    if (rc == 0)
        rc = read_inputs(r->path, root, in, e);
    if (rc == 0 && (rc = show(r, root, e)) < 0)
        inputs_free(in);
    if (rc < 0)
        return rc;
    r->to->syslog_says = syslog_config_fingerprint(in->syslog);
    r->to->tail_says = tail_config_fingerprint(in->tail);
    return 0;
}

int settings_read(struct settings_file *f, struct err *e)
{
    const struct reading r = { f->path, &f->arena, &f->now, &f->text };
    int rc = f->path ? read_file(&r, &f->inputs, e) : read_inputs("(none)", NULL, &f->inputs, e);

    f->first = f->now;
    return rc;
}

int settings_check(const struct settings *s, struct err *e)
{
    char host[64];
    uint16_t port;

    if (!s->data)
        return err_set(e, ERR_INVALID, "serve: --data DIR is missing: where should the data live?");
    if (strcmp(s->durability, "process") != 0 && strcmp(s->durability, "power") != 0)
        return err_set(e, ERR_INVALID, "serve: --durability %s: should be process or power", s->durability);
    if (s->otlp_grpc && strcmp(s->otlp_grpc, "none") != 0 && address_parse(s->otlp_grpc, host, &port, e) < 0)
        return err_wrap(e, "serve: --otlp-grpc (or none)");
    if (s->syslog && strcmp(s->syslog, "none") != 0 && address_parse(s->syslog, host, &port, e) < 0)
        return err_wrap(e, "serve: --syslog (or none)");
    if (s->threads > 256)
        return err_set(e, ERR_RANGE, "serve: --threads %" PRId64 ": should be 256 at most", s->threads);
    if (log_level_parse(s->log_level) < 0)
        return err_set(e, ERR_INVALID, "serve: --log-level %s: should be debug, info, warn or error", s->log_level);
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Whether something differs that is only read at the start. */
static bool needs_restart(const struct settings *a, const struct settings *b)
{
    return !same_text(a->data, b->data) || !same_text(a->listen, b->listen) || !same_text(a->durability, b->durability) ||
           !same_text(a->otlp_grpc, b->otlp_grpc) || !same_text(a->syslog, b->syslog) ||
           a->syslog_says != b->syslog_says || a->tail_says != b->tail_says ||
           a->retention_ms != b->retention_ms || a->query_timeout_ms != b->query_timeout_ms ||
           a->query_lookback_ms != b->query_lookback_ms || a->query_max_samples != b->query_max_samples ||
           a->query_cache != b->query_cache || a->threads != b->threads || a->max_body != b->max_body ||
           a->memory_limit != b->memory_limit || a->queue != b->queue || a->admin != b->admin;
}

static int reload(struct settings_file *f, struct arena *a, struct buf *text, struct err *e)
{
    struct settings next = defaults;
    const struct reading r = { f->path, a, &next, text };
    struct settings_inputs inputs;
    int rc = read_file(&r, &inputs, e);
    enum log_level level;

    if (rc < 0)
        return rc;
    next.data = next.data ? next.data : f->now.data; /* most have it on the command line */
    if (settings_check(&next, e) < 0) {
        inputs_free(&inputs);
        return e->code;
    }
    level = (enum log_level)log_level_parse(next.log_level);
    if (!same_text(next.log_level, f->first.log_level))
        log_set_level(level);
    if (f->first.data == NULL)
        next.data = NULL;
    if (needs_restart(&next, &f->first))
        log_warn("%s: of what changed, log-level and what is scraped take effect now, the rest at the next start",
                 f->path);
    f->first.log_level = log_level_word(level);
    f->rescrape(f->rescrape_arg, inputs.scrape);
    inputs.scrape = NULL;
    inputs_free(&inputs);
    log_info("%s: read again", f->path);
    return 0;
}

int settings_reload(struct settings_file *f, struct err *e)
{
    struct arena a = ARENA_INIT(MOST_MEMORY);
    struct buf text = BUF_INIT(MOST_BYTES);
    int rc;

    if (!f->path)
        return err_set(e, ERR_UNSUPPORTED, "there is no configuration file to read again (serve --config FILE)");
    pthread_mutex_lock(&f->lock);
    rc = reload(f, &a, &text, e);
    pthread_mutex_unlock(&f->lock);
    buf_free(&text);
    arena_free(&a);
    return rc;
}
