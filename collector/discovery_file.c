/* discovery_file.c: groups in files, found by patterns.
 *
 * The kernel tells when something in a pattern's folder changes; a moment later, when the writer is likely done, all
 * patterns are looked at anew. A round at each refresh_interval finds what the kernel does not tell: folders that were
 * missing, links into other folders, network file systems. */
#include "collector/discovery-internal.h"

#include "base/err.h"
#include "base/file.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { MOST_FILE = 8 << 20, SETTLE_MS = 50 };

/* 1: its groups changed. */
static int read_one(struct discovery *d, const char *path)
{
    struct buf text = BUF_INIT(MOST_FILE);
    struct err e = ERR_INIT;
    struct discovery_source *known = discovery_find(d, str_of(path));
    int rc = file_read(path, &text, &e);

    if (rc == 0)
        rc = discovery_take(d, str_of(path), STR("__meta_filepath"), buf_view(&text), &e);
    else if (known) {
        known->found = rc != ERR_NOTFOUND;
        discovery_tell(known, &e);
    }
    buf_free(&text);
    return rc == 1;
}

/* 1: some were there that are gone now. */
static int drop_missing(struct discovery *d)
{
    struct discovery_source **at = &d->sources;
    int dropped = 0;

    while (*at) {
        struct discovery_source *s = *at;

        if (s->found) {
            at = &s->next;
            continue;
        }
        dropped |= s->n > 0;
        *at = s->next;
        discovery_source_free(s);
    }
    return dropped;
}

/* Watching a folder that is watched already changes nothing; one that has come since is watched from now on. */
static void watch(struct discovery *d, const char *pattern)
{
    const uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE;
    const char *slash = strrchr(pattern, '/');
    char folder[PATH_MAX];

    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - pattern + 1) : 1, slash ? pattern : ".");
    if (d->inotify >= 0)
        inotify_add_watch(d->inotify, folder, events);
}

void discovery_files_round(struct discovery *d)
{
    int changed = 0;

    for (struct discovery_source *s = d->sources; s; s = s->next)
        s->found = false;
    for (size_t i = 0; i < d->config->files.n; i++) {
        const char *pattern = d->config->files.v[i].p;
        glob_t found;

        watch(d, pattern);
        if (glob(pattern, 0, NULL, &found) != 0)
            continue;
        for (size_t k = 0; k < found.gl_pathc; k++)
            changed |= read_one(d, found.gl_pathv[k]);
        globfree(&found);
    }
    changed |= drop_missing(d);
    if (changed)
        d->changed(d->arg);
}

static void folder_changed(evutil_socket_t fd, short what, void *arg)
{
    struct discovery *d = arg;
    struct timeval soon = { 0, SETTLE_MS * 1000 };
    char events[4096];

    (void)what;
    while (read(fd, events, sizeof(events)) > 0)
        ;
    event_add(d->timer, &soon);
}

int discovery_files_start(struct discovery *d, struct err *e)
{
    d->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (d->inotify >= 0) {
        d->told = event_new(d->base, d->inotify, EV_READ | EV_PERSIST, folder_changed, d);
        if (!d->told || event_add(d->told, NULL) < 0)
            return err_set(e, ERR_NOMEM, "no memory to watch files");
    }
    discovery_files_round(d);
    return 0;
}

void discovery_files_stop(struct discovery *d)
{
    if (d->told)
        event_free(d->told);
    if (d->inotify >= 0)
        close(d->inotify);
    d->told = NULL;
    d->inotify = -1;
}
