/* scrape_config-internal.h: a configuration as it was read; never changed after, so all threads may read it. */
#ifndef COLLECTOR_SCRAPE_CONFIG_INTERNAL_H
#define COLLECTOR_SCRAPE_CONFIG_INTERNAL_H

#include "collector/conf-internal.h"
#include "collector/relabel.h"
#include "collector/scrape_config.h"

/* How to speak HTTP to somebody: prometheus.yml's HTTP client settings. Texts are NUL-terminated; p NULL: not set.
 * What is in a file is read for each request. */
struct http_settings {
    struct str user, user_file, password, password_file;
    struct str auth_type, credentials, credentials_file; /* Authorization: TYPE CREDENTIALS */
    struct str ca, ca_file, cert, cert_file, key, key_file, server_name, min_version, max_version;
    bool insecure_skip_verify;
    struct str proxy_url, no_proxy;
    bool proxy_from_environment;
    bool follow_redirects, http2;
    const struct label *headers; /* http_headers, one for each value */
    size_t nheaders;
};

/* Some targets with labels in common. */
struct target_group {
    const struct str *targets;
    size_t ntargets;
    struct labels labels;
};

enum discovery_kind { DISCOVERY_STATIC, DISCOVERY_FILE, DISCOVERY_HTTP };

struct discovery_config {
    enum discovery_kind kind;
    const struct target_group *groups; /* STATIC */
    size_t ngroups;
    struct conf_texts files;           /* FILE: paths, with * and ? in the last part */
    struct str url;                    /* HTTP */
    int64_t refresh_ms;
    struct http_settings http;
};

enum scrape_protocol { SCRAPE_NONE, SCRAPE_TEXT, SCRAPE_OPENMETRICS };

struct scrape_limits {
    uint64_t body_bytes, samples, targets, labels, label_name_bytes, label_value_bytes; /* 0: none */
    uint64_t dropped_targets; /* how many are remembered; 0: all */
};

struct scrape_job {
    struct str name, metrics_path, scheme;
    int64_t interval_ms, timeout_ms;
    struct str accept;                 /* the header's value */
    enum scrape_protocol fallback;     /* for answers without a usable Content-Type */
    bool honor_labels, honor_timestamps, track_timestamps, compression, extra_metrics;
    struct scrape_limits limits;
    const struct label *params;        /* in order; a name may stand more than once */
    size_t nparams;
    struct http_settings http;
    struct relabel_rules relabel, metric_relabel;
    const struct discovery_config *discovery;
    size_t ndiscovery;
    uint64_t fingerprint; /* of all of it: equal jobs are equal texts */
};

struct scrape_config {
    struct arena arena;
    struct scrape_job *jobs;
    size_t n, cap;
};

/* Keys of the HTTP client's settings, for the tables of what carries them; base is where http_settings lies. */
struct http_written {
    const struct yaml_node *basic_auth, *authorization, *tls_config, *http_headers, *proxy_connect_header, *oauth2;
    struct str bearer_token, bearer_token_file, proxy_url, no_proxy;
    bool follow_redirects, enable_http2, proxy_from_environment;
};

#define HTTP_FIELDS(type, at)                                                                                \
    { "basic_auth", CONF_NODE, offsetof(type, at.basic_auth) },                                              \
    { "authorization", CONF_NODE, offsetof(type, at.authorization) },                                        \
    { "oauth2", CONF_NODE, offsetof(type, at.oauth2) },                                                      \
    { "bearer_token", CONF_TEXT, offsetof(type, at.bearer_token) },                                          \
    { "bearer_token_file", CONF_TEXT, offsetof(type, at.bearer_token_file) },                                \
    { "tls_config", CONF_NODE, offsetof(type, at.tls_config) },                                              \
    { "follow_redirects", CONF_BOOL, offsetof(type, at.follow_redirects) },                                  \
    { "enable_http2", CONF_BOOL, offsetof(type, at.enable_http2) },                                          \
    { "proxy_url", CONF_TEXT, offsetof(type, at.proxy_url) },                                                \
    { "no_proxy", CONF_TEXT, offsetof(type, at.no_proxy) },                                                  \
    { "proxy_from_environment", CONF_BOOL, offsetof(type, at.proxy_from_environment) },                      \
    { "proxy_connect_header", CONF_NODE, offsetof(type, at.proxy_connect_header) },                          \
    { "http_headers", CONF_NODE, offsetof(type, at.http_headers) }

#define HTTP_WRITTEN_INIT { .follow_redirects = true, .enable_http2 = true }

/* Checks and translates. `node` is the map they stood in. */
int http_settings_read(const struct conf *c, const struct yaml_node *node, const struct http_written *w,
                       struct http_settings *out, struct err *e);

/* An absolute path, or one relative to the configuration's folder; p NULL: no memory. */
struct str conf_path(const struct conf *c, struct str path);

/* The job's static_configs, file_sd_configs and http_sd_configs; each may be NULL. */
int discovery_configs_read(const struct conf *c, const struct yaml_node *statics, const struct yaml_node *file_list,
                           const struct yaml_node *http_list, struct scrape_job *job, struct err *e);

/* A list of groups {targets: [...], labels: {...}}: static_configs, and what files and servers of discovery hold. */
int target_groups_read(const struct conf *c, const struct yaml_node *list, const struct target_group **groups, size_t *n,
                       struct err *e);

#endif
