/* sqlite_catalog.c: a row for every version of every document; the one with the highest revision up to R is how the
 * document was at R. A removal is a version too, without a body. */
#include "store/catalog.h"

#include "base/clock.h"
#include "store/store-internal.h"

#define COLUMNS "kind, ns, name, body, deleted, created_ms, changed_ms, revision"

int db_catalog_revision(struct db *db, uint64_t *revision, struct err *e)
{
    int64_t last;
    int rc = db_number(db, "SELECT max(revision) FROM document", &last, e);

    *revision = (uint64_t)last;
    return rc;
}

uint64_t catalog_revision(struct store *st)
{
    return atomic_load(&st->revision);
}

/* --- writing --- */

struct application {
    const struct catalog_change *changes;
    size_t n;
    uint64_t expect, revision; /* the one before, then the one after */
    int64_t now_ms;
    bool changed;
};

static void bind_key(struct stmt *s, struct catalog_key key)
{
    stmt_bind_text(s, 1, key.kind);
    stmt_bind_text(s, 2, key.ns);
    stmt_bind_text(s, 3, key.name);
}

static int insert(struct db *db, const struct application *ap, const struct catalog_change *c, int64_t created_ms,
                  struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT OR REPLACE INTO document(kind, ns, name, body, deleted, created_ms,"
                                   " changed_ms, revision) VALUES(?, ?, ?, ?, ?, ?, ?, ?)", e);

    if (!s)
        return db_why(db);
    bind_key(s, c->key);
    stmt_bind_text(s, 4, c->remove ? STR_NULL : c->body);
    stmt_bind_i64(s, 5, c->remove);
    stmt_bind_i64(s, 6, created_ms);
    stmt_bind_i64(s, 7, ap->now_ms);
    stmt_bind_i64(s, 8, (int64_t)ap->revision + 1);
    return stmt_run(s, e);
}

/* What the change has to be compared with. */
struct present {
    bool there, same;
    int64_t created_ms;
};

static int look_up(struct db *db, const struct catalog_change *c, struct present *p, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT deleted, created_ms, body FROM document WHERE kind=? AND ns=? AND name=?"
                                   " ORDER BY revision DESC LIMIT 1", e);
    int rc;

    *p = (struct present){ 0 };
    if (!s)
        return db_why(db);
    bind_key(s, c->key);
    rc = stmt_step(s, e);
    if (rc == 1 && stmt_i64(s, 0) == 0) {
        p->there = true;
        p->created_ms = stmt_i64(s, 1);
        p->same = str_eq(stmt_text(s, 2), c->body);
        rc = stmt_check(s, e);
    }
    stmt_reset(s);
    return rc < 0 ? rc : 0;
}

static int apply_one(struct db *db, struct application *ap, const struct catalog_change *c, struct err *e)
{
    struct present p;
    int rc;

    if (c->key.kind.n == 0 || c->key.name.n == 0)
        return err_set(e, ERR_INVALID, "a document needs a kind and a name");
    rc = look_up(db, c, &p, e);
    if (rc < 0)
        return rc;
    if (c->remove && !p.there)
        return err_set(e, ERR_NOTFOUND, "%.*s %.*s%s%.*s: not there", STR_ARG(c->key.kind), STR_ARG(c->key.ns),
                       c->key.ns.n ? "/" : "", STR_ARG(c->key.name));
    if (!c->remove && p.there && p.same)
        return 0;
    ap->changed = true;
    return insert(db, ap, c, p.there ? p.created_ms : ap->now_ms, e);
}

static int apply(struct store *st, void *arg, struct err *e)
{
    struct application *ap = arg;
    int rc;

    ap->revision = atomic_load(&st->revision);
    if (ap->expect && ap->expect != ap->revision)
        return err_set(e, ERR_CONFLICT, "the catalog is at revision %llu, not %llu: it changed meanwhile",
                       (unsigned long long)ap->revision, (unsigned long long)ap->expect);
    rc = db_begin(st->db, e);
    for (size_t i = 0; rc == 0 && i < ap->n; i++)
        rc = apply_one(st->db, ap, &ap->changes[i], e);
    if (rc < 0 || !ap->changed) {
        db_rollback(st->db);
        return rc;
    }
    rc = db_commit(st->db, e);
    if (rc == 0)
        atomic_store(&st->revision, ++ap->revision);
    return rc;
}

int catalog_apply(struct store *st, const struct catalog_change *changes, size_t n, uint64_t expect,
                  uint64_t *revision, struct err *e)
{
    struct application ap = { .changes = changes, .n = n, .expect = expect, .now_ms = clock_now_ms() };
    int rc = committer_run(st, apply, &ap, e);

    if (rc == 0 && revision)
        *revision = ap.revision;
    return rc;
}

/* --- reading --- */

static int keep(struct stmt *s, struct arena *a, struct catalog_document *d, struct err *e)
{
    d->key.kind = arena_str(a, stmt_text(s, 0));
    d->key.ns = arena_str(a, stmt_text(s, 1));
    d->key.name = arena_str(a, stmt_text(s, 2));
    d->body = arena_str(a, stmt_text(s, 3));
    d->deleted = stmt_i64(s, 4) != 0;
    d->created_ms = stmt_i64(s, 5);
    d->changed_ms = stmt_i64(s, 6);
    d->revision = (uint64_t)stmt_i64(s, 7);
    if (!d->key.kind.p || !d->key.ns.p || !d->key.name.p || !d->body.p)
        return err_set(e, ERR_NOMEM, "no memory for the documents");
    return stmt_check(s, e);
}

static int collect(struct stmt *s, struct arena *a, struct catalog_document **out, size_t *n, struct err *e)
{
    size_t cap = 0;
    int rc;

    while ((rc = stmt_step(s, e)) == 1) {
        if (arena_grow(a, out, &cap, *n + 1, sizeof(**out)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the documents");
        rc = keep(s, a, &(*out)[*n], e);
        if (rc < 0)
            return rc;
        ++*n;
    }
    return rc;
}

int catalog_list(struct store *st, struct str kind, uint64_t revision, struct arena *a, struct catalog_document **out,
                 size_t *n, struct err *e)
{
    struct stmt *s;
    struct db *db;
    int rc = db_pool_take(st->readers, &db, e);

    *out = NULL;
    *n = 0;
    if (rc < 0)
        return rc;
    s = db_cached(db, "SELECT " COLUMNS " FROM document AS d WHERE (?1 = '' OR kind = ?1) AND deleted = 0"
                      " AND revision = (SELECT max(revision) FROM document WHERE kind = d.kind AND ns = d.ns"
                      " AND name = d.name AND revision <= ?2) ORDER BY kind, ns, name", e);
    rc = s ? 0 : db_why(db);
    if (s) {
        stmt_bind_text(s, 1, kind);
        stmt_bind_i64(s, 2, revision && revision <= INT64_MAX ? (int64_t)revision : INT64_MAX);
        rc = collect(s, a, out, n, e);
        stmt_reset(s);
    }
    db_pool_give(st->readers, db);
    return rc;
}

int catalog_history(struct store *st, struct catalog_key key, size_t limit, struct arena *a,
                    struct catalog_document **out, size_t *n, struct err *e)
{
    struct stmt *s;
    struct db *db;
    int rc = db_pool_take(st->readers, &db, e);

    *out = NULL;
    *n = 0;
    if (rc < 0)
        return rc;
    s = db_cached(db, "SELECT " COLUMNS " FROM document"
                      " WHERE ?1 = '' OR (kind = ?1 AND (?3 = '' OR (ns = ?2 AND name = ?3)))"
                      " ORDER BY revision DESC, kind, ns, name LIMIT ?4", e);
    rc = s ? 0 : db_why(db);
    if (s) {
        bind_key(s, key);
        stmt_bind_i64(s, 4, limit <= INT64_MAX ? (int64_t)limit : INT64_MAX);
        rc = collect(s, a, out, n, e);
        stmt_reset(s);
    }
    db_pool_give(st->readers, db);
    return rc;
}
