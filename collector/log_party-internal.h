/* log_party-internal.h: who a line speaks of: a declared mapping from its fields to a workload.
 *
 *     destination:
 *       by: $host                       # a field of the format, or a column of the row
 *       table:
 *         shop.example: {workload: shop, service: shop.default.svc.cluster.local}
 *         10.0.0.0/8: {workload: inside}    # addresses, with or without a port, by the longest prefix
 *         mail.example: mail                # short for {workload: mail}
 *       default: {workload: other}
 *       namespace: default              # of all of them, where the table does not say otherwise
 *
 * A value is a text, or a field: $host, "%b", "%REQ(X-TEAM)%", {field: authority}. */
#ifndef COLLECTOR_LOG_PARTY_INTERNAL_H
#define COLLECTOR_LOG_PARTY_INTERNAL_H

#include "collector/conf-internal.h"
#include "collector/log_format.h"

enum log_part {
    LOG_PART_workload, LOG_PART_namespace, LOG_PART_app, LOG_PART_version, LOG_PART_principal, LOG_PART_cluster,
    LOG_PART_service, LOG_PART_service_name, LOG_PART_service_namespace, LOG_PARTS
};

struct log_party; /* lives in the configuration's arena; immutable; thread-safe */

/* `node` NULL or null: *out becomes NULL. `f` NULL: lines without a format, of which no field can be taken. ERR_INVALID
 * names file, line and key. */
int log_party_read(const struct conf *c, const struct yaml_node *node, const struct log_format *f,
                   struct log_party **out, struct err *e);
/* What the party is in this line: views of the line or the configuration; empty: not said. */
void log_party_find(const struct log_party *p, const struct log_line *l, struct str out[LOG_PARTS]);

#endif
