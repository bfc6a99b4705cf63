/* gv.c: Graphviz behind one lock.
 *
 * cgraph and libgvc keep state of the process (the last error, the graph being read, the plugins loaded), so all calls
 * into them, from every thread, happen between gv_lock and gv_unlock. The context with its plugins is made once and
 * kept: loading costs 10 ms, and freeing it leaks what the plugins hold. What Graphviz has to say about a graph it
 * would print on stderr; here it is caught and becomes part of an error message.
 *
 * Graphviz does not survive malloc failing; what it is given is therefore bounded before (GRAPH_MAX_NODES). */
#include "graph/graph-internal.h"

#include <graphviz/gvc.h>
#include <pthread.h>
#include <string.h>

/* The one place with state of the process; `lock` guards all of it. */
static struct {
    pthread_mutex_t lock;
    GVC_t *context; /* made at the first use */
    char complaint[256];
} gv = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int catch_complaint(char *text)
{
    size_t n = strlen(gv.complaint), room = sizeof(gv.complaint) - n - 1;

    for (; *text && room > 0; text++, room--)
        gv.complaint[n++] = *text == '\n' ? ' ' : *text;
    gv.complaint[n] = '\0';
    return 0;
}

void gv_lock(void)
{
    pthread_mutex_lock(&gv.lock);
    agseterrf(catch_complaint);
    gv.complaint[0] = '\0';
}

void gv_unlock(void)
{
    pthread_mutex_unlock(&gv.lock);
}

const char *gv_complaint(void)
{
    return gv.complaint;
}

static GVC_t *context(void)
{
    if (!gv.context)
        gv.context = gvContext();
    return gv.context;
}

int gv_layout(Agraph_t *g, const char *engine, struct err *e)
{
    if (!context() || gvLayout(gv.context, g, engine) != 0)
        return err_set(e, ERR_UNSUPPORTED, "graph: Graphviz' %s layout failed: %s", engine, gv.complaint);
    return 0;
}

void gv_free_layout(Agraph_t *g)
{
    gvFreeLayout(gv.context, g);
}
