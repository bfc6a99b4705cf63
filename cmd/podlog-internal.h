/* podlog-internal.h: what Pods print, to files and to the server.
 *
 * Lines are appended to FOLDER/POD.CONTAINER.log at once and sent as OTLP logs in batches by a thread of its own. When
 * the server is away, at most PODLOG_MOST bytes wait; what does not fit is counted and told when there is room again. */
#ifndef CMD_PODLOG_INTERNAL_H
#define CMD_PODLOG_INTERNAL_H

#include "base/err.h"
#include "base/str.h"

struct podlog;

enum { PODLOG_MOST = 4 << 20 };

struct podlog *podlog_open(const char *server, const char *folder, struct err *e);
/* From the main thread only. */
void podlog_line(struct podlog *l, struct str pod, struct str ns, struct str workload, const char *container,
                 struct str line);
/* Sends what waits (once), then frees. */
void podlog_close(struct podlog *l);

#endif
