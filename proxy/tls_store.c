#include "proxy/tls-internal.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strmap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { MOST_KEY = 8 * 1024 * 1024, MOST_CONTEXT = 32 * 1024 * 1024 };

/* By which a file is known to be another than it was. */
struct stamp {
    struct timespec changed;
    off_t size;
    ino_t inode;
};

struct watched {
    const char *path;
    struct stamp stamp;
};

struct tls_context {
    atomic_size_t refs;
    struct tls_store *store;
    struct arena arena;       /* of the rest */
    struct str key;
    struct tls_recipe recipe;
    struct watched *files;
    size_t nfiles;
    SSL_CTX *ssl;             /* guarded by the store's `in_force`; NULL: it could not be made */
};

struct tls_store {
    pthread_mutex_t lock;     /* guards `contexts` and their files, also while one is made; no handshake takes it */
    pthread_mutex_t in_force; /* guards every context's `ssl`, for as long as it takes to look */
    struct strmap contexts;   /* by their settings */
    struct arena arena;
    struct pem ca;            /* of the workload's own identity */
    struct tls_pair own;
    bool has_own;
    uint32_t downstream_told, upstream_told; /* set before anything else is done */
};

/* ---- files ---- */

static struct stamp stamp_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (struct stamp){ .size = -1 };
    return (struct stamp){ st.st_mtim, st.st_size, st.st_ino };
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return a->size == b->size && a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Whether any is another than at the last look; this look is remembered. */
static bool look_at_files(struct tls_context *c)
{
    bool changed = false;

    for (size_t i = 0; i < c->nfiles; i++) {
        struct stamp now = stamp_of(c->files[i].path);

        changed = changed || !is_same(&now, &c->files[i].stamp);
        c->files[i].stamp = now;
    }
    return changed;
}

static int watch(struct tls_context *c, const struct pem *p)
{
    if (p->path.n == 0)
        return 0;
    c->files[c->nfiles].path = arena_cstr(&c->arena, p->path);
    return c->files[c->nfiles++].path ? 0 : ERR_NOMEM;
}

static int watch_all(struct tls_context *c)
{
    const struct tls_recipe *r = &c->recipe;
    int rc;

    c->files = arena_array(&c->arena, 2 * r->npairs + 2, sizeof(*c->files));
    if (!c->files)
        return ERR_NOMEM;
    rc = watch(c, &r->ca) < 0 || watch(c, &r->crl) < 0 ? ERR_NOMEM : 0;
    for (size_t i = 0; i < r->npairs && rc == 0; i++)
        rc = watch(c, &r->pairs[i].certificate) < 0 || watch(c, &r->pairs[i].key) < 0 ? ERR_NOMEM : 0;
    return rc;
}

/* ---- contexts ---- */

static void key_str(struct buf *b, struct str s)
{
    buf_put(b, &s.n, sizeof(s.n)); /* no text can be taken for two */
    buf_str(b, s);
}

static void key_pem(struct buf *b, const struct pem *p)
{
    key_str(b, p->text);
    key_str(b, p->path);
}

static void make_key(struct buf *b, const struct tls_recipe *r)
{
    uint8_t bits[] = { r->server, r->mesh, r->http, (uint8_t)r->verify, r->min_version, r->max_version,
                       r->missing != NULL };

    buf_put(b, bits, sizeof(bits));
    key_str(b, r->ciphers);
    key_pem(b, &r->ca);
    key_pem(b, &r->crl);
    buf_put(b, &r->npairs, sizeof(r->npairs));
    for (size_t i = 0; i < r->npairs; i++) {
        key_pem(b, &r->pairs[i].certificate);
        key_pem(b, &r->pairs[i].key);
    }
    for (size_t i = 0; i < r->nnames; i++)
        key_str(b, r->names[i]);
}

static struct str copy(struct tls_context *c, struct str s, bool *ok)
{
    struct str to = s.n ? arena_str(&c->arena, s) : STR_NULL;

    *ok = *ok && (s.n == 0 || to.p);
    return to;
}

static struct pem copy_pem(struct tls_context *c, const struct pem *p, bool *ok)
{
    return (struct pem){ copy(c, p->text, ok), copy(c, p->path, ok) };
}

/* The snapshot that the settings are from may go away before the context does. */
static int copy_recipe(struct tls_context *c, const struct tls_recipe *r)
{
    struct tls_pair *pairs = arena_array(&c->arena, r->npairs + 1, sizeof(*pairs));
    struct str *names = arena_array(&c->arena, r->nnames + 1, sizeof(*names));
    bool ok = pairs && names;

    c->recipe = *r;
    c->recipe.told = r->server ? c->store->downstream_told : c->store->upstream_told;
    c->recipe.pairs = pairs;
    c->recipe.names = names;
    for (size_t i = 0; ok && i < r->npairs; i++)
        pairs[i] = (struct tls_pair){ copy_pem(c, &r->pairs[i].certificate, &ok), copy_pem(c, &r->pairs[i].key, &ok) };
    for (size_t i = 0; ok && i < r->nnames; i++)
        names[i] = copy(c, r->names[i], &ok);
    c->recipe.ca = copy_pem(c, &r->ca, &ok);
    c->recipe.crl = copy_pem(c, &r->crl, &ok);
    c->recipe.ciphers = copy(c, r->ciphers, &ok);
    return ok ? 0 : ERR_NOMEM;
}

static void free_context(struct tls_context *c)
{
    SSL_CTX_free(c->ssl);
    arena_free(&c->arena);
    mem_free(c);
}

static struct tls_context *new_context(struct tls_store *s, const struct tls_recipe *r, struct str key)
{
    struct tls_context *c = mem_zalloc(sizeof(*c));
    struct err why = ERR_INIT;

    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->store = s;
    c->arena = (struct arena)ARENA_INIT(MOST_CONTEXT);
    c->key = arena_str(&c->arena, key);
    if (!c->key.p || copy_recipe(c, r) < 0 || watch_all(c) < 0)
        goto fail;
    look_at_files(c);
    c->ssl = tls_context_make(&c->recipe, &why);
    if ((!c->ssl && why.code == ERR_NOMEM) || strmap_put(&s->contexts, c->key, c, NULL) < 0)
        goto fail;
    if (!c->ssl)
        log_error("TLS: %s: handshakes that need it fail", why.msg);
    return c;
fail:
    free_context(c);
    return NULL;
}

static struct tls_context *find(struct tls_store *s, const struct tls_recipe *r, struct err *e)
{
    struct buf key = BUF_INIT(MOST_KEY);
    struct tls_context *c = NULL;

    make_key(&key, r);
    pthread_mutex_lock(&s->lock);
    if (!buf_failed(&key))
        c = strmap_get(&s->contexts, buf_view(&key));
    if (c)
        atomic_fetch_add(&c->refs, 1);
    else if (!buf_failed(&key))
        c = new_context(s, r, buf_view(&key));
    pthread_mutex_unlock(&s->lock);
    buf_free(&key);
    if (!c)
        err_set(e, ERR_NOMEM, "no memory for a context of TLS");
    return c;
}

struct tls_context *tls_context_get(struct tls_context *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

/* Under the lock, so that nobody finds one that is on its way out. */
void tls_context_put(struct tls_context *c)
{
    struct tls_store *s;

    if (!c)
        return;
    s = c->store;
    pthread_mutex_lock(&s->lock);
    if (atomic_fetch_sub(&c->refs, 1) == 1) {
        strmap_del(&s->contexts, c->key);
        free_context(c);
    }
    pthread_mutex_unlock(&s->lock);
}

SSL_CTX *tls_context_ssl(struct tls_context *c)
{
    SSL_CTX *ssl;

    pthread_mutex_lock(&c->store->in_force);
    ssl = c->ssl;
    if (ssl)
        SSL_CTX_up_ref(ssl);
    pthread_mutex_unlock(&c->store->in_force);
    return ssl;
}

/* Connections hold on to the one that they began with. */
static void make_again(struct tls_context *c)
{
    struct err why = ERR_INIT;
    SSL_CTX *ssl = tls_context_make(&c->recipe, &why), *old = c->ssl;

    if (!ssl) {
        log_error("TLS: %s: %s", why.msg, old ? "what was read before stays" : "handshakes that need it fail");
        return;
    }
    pthread_mutex_lock(&c->store->in_force);
    c->ssl = ssl;
    pthread_mutex_unlock(&c->store->in_force);
    SSL_CTX_free(old);
    log_info("TLS: %s has changed and was read", c->files[c->nfiles - 1].path);
}

void tls_store_check(struct tls_store *s)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    pthread_mutex_lock(&s->lock);
    while ((slot = strmap_next(&s->contexts, &at)))
        if (look_at_files(slot->value))
            make_again(slot->value);
    pthread_mutex_unlock(&s->lock);
}

/* ---- settings ---- */

static const struct tls_recipe modern = { .min_version = 12, .max_version = 13 };

static void as_workload(const struct tls_store *s, struct tls_recipe *r)
{
    r->mesh = true;
    r->verify = TLS_VERIFY_ALWAYS;
    r->pairs = &s->own;
    r->npairs = 1;
    r->ca = s->ca;
    r->missing = s->has_own ? NULL : "mutual TLS of the mesh is asked for, and there is no --cert-dir";
}

struct tls_context *tls_store_server(struct tls_store *s, const struct tls_server *t, bool http, struct err *e)
{
    struct tls_recipe r = modern;

    r.server = true;
    r.http = http;
    r.min_version = t->min_version;
    r.max_version = t->max_version;
    r.ciphers = t->ciphers;
    r.names = t->names;
    r.nnames = t->nnames;
    if (t->mode == TLS_SERVER_ISTIO) {
        as_workload(s, &r);
        return find(s, &r, e);
    }
    r.verify = t->mode == TLS_SERVER_SIMPLE   ? TLS_VERIFY_NONE
               : t->mode == TLS_SERVER_MUTUAL ? TLS_VERIFY_ALWAYS
                                              : TLS_VERIFY_GIVEN;
    r.pairs = t->pairs;
    r.npairs = t->npairs;
    r.ca = t->ca;
    r.crl = t->crl;
    if (t->npairs == 0)
        r.missing = "a Gateway's certificate is not there, or not whole";
    else if (t->mode == TLS_SERVER_MUTUAL && t->ca.text.n == 0 && t->ca.path.n == 0)
        r.missing = "a Gateway asks its clients for certificates, and the authorities for them are not there";
    return find(s, &r, e);
}

struct tls_context *tls_store_inbound(struct tls_store *s, struct err *e)
{
    struct tls_recipe r = modern;

    r.server = true;
    as_workload(s, &r);
    return find(s, &r, e);
}

struct tls_context *tls_store_client(struct tls_store *s, const struct tls_client *t, struct err *e)
{
    struct tls_recipe r = modern;

    if (t->mode == TLS_CLIENT_ISTIO || t->mode == TLS_CLIENT_AUTO) {
        as_workload(s, &r);
        return find(s, &r, e);
    }
    r.verify = t->insecure ? TLS_VERIFY_NONE : TLS_VERIFY_ALWAYS;
    r.ca = t->ca;
    r.crl = t->crl;
    if (t->mode == TLS_CLIENT_MUTUAL) {
        r.pairs = &t->own;
        r.npairs = 1;
    }
    if (t->missing)
        r.missing = "a DestinationRule's Secret is not there, or not whole";
    return find(s, &r, e);
}

/* ---- the store ---- */

static struct pem in_dir(struct tls_store *s, const char *dir, const char *name)
{
    return (struct pem){ .path = arena_printf(&s->arena, "%s/%s", dir, name) };
}

struct tls_store *tls_store_new(const char *cert_dir, struct err *e)
{
    struct tls_store *s = mem_zalloc(sizeof(*s));

    if (s && cert_dir) {
        s->arena = (struct arena)ARENA_INIT(64 * 1024);
        s->own = (struct tls_pair){ in_dir(s, cert_dir, "cert-chain.pem"), in_dir(s, cert_dir, "key.pem") };
        s->ca = in_dir(s, cert_dir, "root-cert.pem");
        s->has_own = true;
    }
    if (!s || (cert_dir && (!s->own.certificate.path.p || !s->own.key.path.p || !s->ca.path.p))) {
        if (s)
            arena_free(&s->arena);
        mem_free(s);
        err_set(e, ERR_NOMEM, "no memory for certificates");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->in_force, NULL);
    return s;
}

void tls_store_free(struct tls_store *s)
{
    if (!s)
        return;
    strmap_free(&s->contexts);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->in_force);
    arena_free(&s->arena);
    mem_free(s);
}

void tls_store_tell(struct tls_store *s, uint32_t downstream, uint32_t upstream)
{
    s->downstream_told = downstream;
    s->upstream_told = upstream;
}

bool tls_store_has_identity(const struct tls_store *s)
{
    return s->has_own;
}
