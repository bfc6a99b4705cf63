/* relabel.h: Prometheus' relabelling: rules that change, keep or drop a set of labels.
 *
 * Source: prometheus.io/docs/prometheus/latest/configuration/configuration (relabel_config); names are UTF-8, as in
 * Prometheus 3. Rules are read once and then thread-safe. */
#ifndef COLLECTOR_RELABEL_H
#define COLLECTOR_RELABEL_H

#include "base/yaml.h"
#include "collector/label_builder.h"

struct relabel_rule;

struct relabel_rules {
    const struct relabel_rule *v;
    size_t n;
};

/* Reads a list of rules; everything lives in `a`. `list` NULL: no rules. ERR_INVALID "FILE:LINE: KEY: …" with
 * Prometheus' words where it has some, ERR_NOMEM. */
int relabel_read(struct arena *a, const char *file, const struct yaml_node *list, struct relabel_rules *out,
                 struct err *e);
/* 1: keep, 0: drop, ERR_NOMEM (the builder's arena). What the rules make lives in that arena. */
int relabel_apply(const struct relabel_rules *rules, struct label_builder *b);

#endif
