/* sqlite_snapshot.c: a consistent copy of the data directory, while everything goes on.
 *
 *      committer's thread   open each database, and begin to read it: all stand at the same moment      (microseconds)
 *      caller's thread      copy page by page what each reader sees, by SQLite's backup                 (as long as it takes)
 *
 * What is committed meanwhile goes to the WAL, which our readers do not look at; a database that is deleted meanwhile
 * stays readable through the open file. The copy is itself a data directory: `vigla serve --data` takes it as it is. */
#include "store/store-internal.h"

#include "base/file.h"

#include <dirent.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

enum { MOST_FILES = 100000 };

static const char folder[] = "snapshots"; /* in the data directory */

struct source {
    struct str name; /* "vigla.db", "metrics/19000.db" */
    sqlite3 *db;
};

struct snapshot {
    struct arena *arena; /* for paths and what follows */
    const char *dir;     /* of the data */
    struct source *v;
    size_t n, cap;
};

/* NULL: no memory. */
static const char *join(const struct snapshot *s, const char *path, struct str name)
{
    return arena_printf(s->arena, "%s/%.*s", path, STR_ARG(name)).p;
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "snapshot: no memory for the list of databases");
}

/* --- what there is --- */

/* As store/sqlite.c opens it: connections of one process see each other's WAL only in the same way. */
static const char *vfs_of(struct str name)
{
    return str_chr(name, '/') >= 0 ? DB_PARTITION_VFS : NULL;
}

static int open_source(struct snapshot *s, struct str name, struct err *e)
{
    const char *path = join(s, s->dir, name);
    struct source *one;

    if (!path || s->n == MOST_FILES || arena_grow(s->arena, &s->v, &s->cap, s->n + 1, sizeof(*s->v)) < 0)
        return no_memory(e);
    one = &s->v[s->n++];
    *one = (struct source){ name, NULL };
    if (sqlite3_open_v2(path, &one->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs_of(name)) != SQLITE_OK ||
        sqlite3_exec(one->db, "BEGIN; SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL) != SQLITE_OK)
        return err_set(e, ERR_IO, "%s: snapshot: %s", path, one->db ? sqlite3_errmsg(one->db) : "no memory");
    return 0;
}

static bool is_folder(DIR *dir, const char *name)
{
    struct stat st;

    return fstatat(dirfd(dir), name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* The databases of the folder `sub`, and, for the data directory itself (empty), of the folders in it. */
static int open_folder(struct snapshot *s, struct str sub, struct err *e)
{
    const char *path = join(s, s->dir, sub);
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;
    int rc = 0;

    if (!dir)
        return path ? err_set(e, ERR_IO, "%s: snapshot: %m", path) : no_memory(e);
    while (rc == 0 && (entry = readdir(dir))) {
        struct str name = arena_printf(s->arena, "%.*s%s%s", STR_ARG(sub), sub.n ? "/" : "", entry->d_name);

        if (!name.p)
            rc = no_memory(e);
        else if (str_ends(name, STR(".db")))
            rc = open_source(s, name, e);
        else if (!sub.n && entry->d_name[0] != '.' && strcmp(entry->d_name, folder) != 0 &&
                 is_folder(dir, entry->d_name))
            rc = open_folder(s, name, e);
    }
    closedir(dir);
    return rc;
}

/* On the committer's thread: nothing changes meanwhile. */
/* Nobody commits, and nobody writes or removes blocks meanwhile. */
static int open_all(struct store *st, void *arg, struct err *e)
{
    int rc;

    pthread_mutex_lock(&st->writing);
    rc = open_folder(arg, STR(""), e);
    pthread_mutex_unlock(&st->writing);
    return rc;
}

/* --- copying --- */

static int copy_database(sqlite3 *from, const char *path, struct err *e)
{
    sqlite3_backup *backup = NULL;
    sqlite3 *to = NULL;
    int rc;

    if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        backup = sqlite3_backup_init(to, "main", from, "main");
    rc = backup ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
    sqlite3_backup_finish(backup);
    if (rc != SQLITE_DONE)
        err_set(e, ERR_IO, "%s: snapshot: %s", path, to ? sqlite3_errmsg(to) : "no memory");
    sqlite3_close(to);
    return rc == SQLITE_DONE ? 0 : ERR_IO;
}

static int copy_all(const struct snapshot *s, const char *to, struct err *e)
{
    int rc = file_mkdirs(to, e);

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        ptrdiff_t slash = str_chr(s->v[i].name, '/');
        const char *path = join(s, to, s->v[i].name);
        const char *in = join(s, to, (struct str){ s->v[i].name.p, slash < 0 ? 0 : (size_t)slash });

        if (!path || !in)
            return no_memory(e);
        rc = file_mkdirs(in, e);
        if (rc == 0)
            rc = copy_database(s->v[i].db, path, e);
    }
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int store_snapshot(struct store *st, const char *name, struct err *e)
{
    struct arena arena = ARENA_INIT(64 << 20);
    struct snapshot s = { .arena = &arena, .dir = st->dir };
    const char *to = arena_printf(&arena, "%s/%s/%s", st->dir, folder, name).p;
    int rc = to ? committer_run(st, open_all, &s, e) : no_memory(e);

    if (rc == 0) {
        rc = copy_all(&s, to, e);
        if (rc < 0) /* what was begun: no one shall take it for a copy */
            nftw(to, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    for (size_t i = 0; i < s.n; i++)
        sqlite3_close(s.v[i].db);
    arena_free(&arena);
    return rc;
}
