/* tail_find.c: which files there are to follow. */
#include "collector/tail-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { MOST_ROTATED = 4096 /* names of a folder that are looked at */ };

void tail_file_free(struct tail_file *f)
{
    atomic_fetch_sub(&f->owner->nfiles, 1);
    if (f->fd >= 0)
        close(f->fd);
    mem_free(f->path);
    mem_free(f);
}

static struct tail_file *find(const struct tail *t, const struct stat *st)
{
    struct tail_file *f = t->files;

    while (f && (f->inode != st->st_ino || f->device != st->st_dev))
        f = f->next;
    return f;
}

/* gzip, bzip2, xz, zstd: what rotation has packed. */
static bool is_packed(int fd)
{
    unsigned char magic[4];

    if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic))
        return false;
    return (magic[0] == 0x1f && magic[1] == 0x8b) || memcmp(magic, "BZh", 3) == 0 ||
           memcmp(magic,
                  "\xfd"
                  "7zX",
                  4) == 0 ||
           memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0;
}

static bool has_room(struct tail *t)
{
    if (atomic_load(&t->nfiles) < TAIL_MOST_FILES)
        return true;
    if (!t->told_many)
        log_warn("tail: %d files are followed, which is all that may be: others wait", TAIL_MOST_FILES);
    t->told_many = true;
    return false;
}

static struct tail_file *file_new(struct tail *t, const struct tail_entry *entry, const char *path, int fd,
                                  const struct stat *st)
{
    struct tail_file *f = mem_zalloc(sizeof(*f));

    if (f)
        f->path = mem_strdup(path);
    if (!f || !f->path) {
        mem_free(f);
        close(fd);
        return NULL;
    }
    f->owner = t;
    f->entry = entry;
    f->fd = fd;
    f->device = st->st_dev;
    f->inode = st->st_ino;
    f->next = t->files;
    t->files = f;
    atomic_fetch_add(&t->nfiles, 1);
    return f;
}

static void keep_path(struct tail_file *f, const char *path)
{
    char *copy = strcmp(f->path, path) == 0 ? NULL : mem_strdup(path);

    if (!copy)
        return;
    mem_free(f->path);
    f->path = copy;
}

/* What is at the path, opened for reading; -1: nothing to follow. O_NONBLOCK: a pipe must not hold us up. */
static int open_regular(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return -1;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && !is_packed(fd))
        return fd;
    close(fd);
    return -1;
}

static void meet(struct tail *t, const struct tail_entry *entry, const char *path)
{
    struct stat st;
    struct tail_file *f;
    int fd;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    f = find(t, &st);
    if (!f && has_room(t) && (fd = open_regular(path, &st)) >= 0) {
        f = find(t, &st); /* it may have been replaced by one that is known */
        if (f) {
            close(fd);
        } else if ((f = file_new(t, entry, path, fd, &st))) {
            f->at_end = entry->from_end && !t->searched;
            log_info("tail: %s: is followed", path);
        }
    }
    if (f) {
        f->seen = true;
        f->quiet_since_ms = 0;
        keep_path(f, path);
    }
}

/* --- what was rotated while nobody looked --- */

/* Of a file that is not asked for by name: has some of it been stored, and not all? */
static bool has_rest(struct tail *t, int fd, const struct stat *st)
{
    char sender[96];
    uint64_t hash, number;
    size_t n;

    if (!tail_first_line(fd, &hash, &n))
        return false;
    tail_sender(sender, st->st_dev, st->st_ino, hash);
    return store_sender_last(t->store, str_of(sender), &number, NULL) == 0 && number > 0 &&
           tail_offset(number) < st->st_size;
}

static void meet_rotated(struct tail *t, const struct tail_entry *entry, const char *path)
{
    struct stat st;
    struct tail_file *f;
    int fd = open_regular(path, &st);

    if (fd < 0)
        return;
    if (find(t, &st) || !has_room(t) || !has_rest(t, fd, &st)) {
        close(fd);
        return;
    }
    f = file_new(t, entry, path, fd, &st);
    if (f)
        log_info("tail: %s: was rotated before it was read to its end; it is read on", path);
}

static void search_rotated(struct tail *t, const struct tail_entry *entry, const struct tail_path *p)
{
    DIR *d = p->folder ? opendir(p->folder) : NULL;
    struct dirent *name;

    for (int i = 0; d && i < MOST_ROTATED && (name = readdir(d)); i++) {
        char path[4096];

        if (p->stem.n && str_starts(str_of(name->d_name), p->stem) &&
            snprintf(path, sizeof(path), "%s/%s", p->folder, name->d_name) < (int)sizeof(path))
            meet_rotated(t, entry, path);
    }
    if (d)
        closedir(d);
}

/* --- the search --- */

static void watch(struct tail *t, const char *folder)
{
    if (t->notify_fd >= 0) /* where there is no folder yet, the look of each second finds it */
        (void)inotify_add_watch(t->notify_fd, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR);
}

static void watch_folder_of(struct tail *t, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];

    if (slash && (size_t)(slash - path) < sizeof(folder)) {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        watch(t, folder);
    }
}

static void search_path(struct tail *t, const struct tail_entry *entry, const struct tail_path *p)
{
    glob_t found = { 0 };

    if (p->folder)
        watch(t, p->folder);
    if (glob(p->glob, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            meet(t, entry, found.gl_pathv[i]);
            if (!p->folder)
                watch_folder_of(t, found.gl_pathv[i]);
        }
    globfree(&found);
}

/* A file that has no name any more, or another: its writer may still write to it for a while. */
static bool is_done(struct tail_file *f, int64_t now_ms)
{
    struct stat st;

    if (f->seen || f->state == TAIL_STORING || fstat(f->fd, &st) < 0)
        return false;
    if (f->quiet_since_ms == 0 || st.st_size != f->size || f->more)
        f->quiet_since_ms = now_ms;
    f->size = st.st_size;
    return now_ms - f->quiet_since_ms > (st.st_nlink == 0 ? TAIL_LOOK_MS : TAIL_KEEP_MS);
}

static void drop_done(struct tail *t)
{
    int64_t now_ms = clock_mono_ns() / 1000000;

    for (struct tail_file **at = &t->files; *at;) {
        struct tail_file *f = *at;

        if (!is_done(f, now_ms)) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        log_info("tail: %s: is gone, and was read to its end", f->path);
        tail_file_free(f);
    }
}

void tail_search(struct tail *t)
{
    for (struct tail_file *f = t->files; f; f = f->next)
        f->seen = false;
    for (size_t i = 0; i < t->config->n; i++)
        for (size_t k = 0; k < t->config->entries[i].npaths; k++)
            search_path(t, &t->config->entries[i], &t->config->entries[i].paths[k]);
    for (size_t i = 0; !t->searched && i < t->config->n; i++)
        for (size_t k = 0; k < t->config->entries[i].npaths; k++)
            search_rotated(t, &t->config->entries[i], &t->config->entries[i].paths[k]);
    t->searched = true;
    drop_done(t);
}
