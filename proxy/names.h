/* names.h: the addresses that names have, asked for again and again, for all workers.
 *
 *            answered             due (refresh), still held by somebody
 *   ASKING ------------> KNOWN ----------------------------------------> asked again; a failure changes nothing
 *      \---------------> UNKNOWN    due, held by nobody: forgotten
 *
 * The system's resolver blocks, so a few threads of their own ask it; they start with the first name. Nobody waits for
 * them: a worker looks at `name_generation`, one atomic, to know whether to read a name again. */
#ifndef PROXY_NAMES_H
#define PROXY_NAMES_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { NAME_MOST_ADDRESSES = 32 };

struct name_address {
    struct sockaddr_storage addr; /* port 0 */
    socklen_t n;
};

struct name_addresses {
    size_t n;
    struct name_address v[NAME_MOST_ADDRESSES];
};

enum name_state { NAME_ASKING, NAME_KNOWN, NAME_UNKNOWN };

struct names;
struct name;

/* Fills `out`; false: there is no such name, or nobody says. Called by several threads. */
typedef bool names_ask(const char *host, struct name_addresses *out);

/* `ask` NULL: the system's resolver. NULL: no memory. */
struct names *names_new(int64_t refresh_ms, names_ask *ask);
/* No name is held any more. A thread that still waits for an answer ends by itself. NULL is accepted. */
void names_free(struct names *ns);

/* A reference; asks at once when the name is new. NULL: no memory, no thread, or too many names. Any thread, as all
 * below. */
struct name *name_get(struct names *ns, struct str host);
void name_put(struct name *n); /* NULL is accepted */
/* Rises with each change of what name_read says. */
unsigned name_generation(const struct name *n);
enum name_state name_read(struct name *n, struct name_addresses *out);

#endif
