#include "proxy/tls_link.h"

#include "base/mem.h"
#include "proxy/texts.h"
#include "proxy/tls-internal.h"
#include "proxy/tls_told.h"
#include "proxy/xfcc.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

enum { MOST_OUT = 2 * TLS_SCRATCH, MOST_XFCC = 64 * 1024 };

/* ---- memory in place of a socket ---- */

static BIO_METHOD *method;

static int take_in(BIO *bio, char *to, int n)
{
    struct tls_link *l = BIO_get_data(bio);
    size_t k = l->in.n < (size_t)n ? l->in.n : (size_t)n;

    BIO_clear_retry_flags(bio);
    if (k == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, l->in.p, k);
    l->in = str_from(l->in, k);
    return (int)k;
}

/* Always takes all of it: into the scratch, or where something waits, or nothing fits, behind that. */
static int put_out(BIO *bio, const char *p, int n)
{
    struct tls_link *l = BIO_get_data(bio);
    struct tls_scratch *s = l->scratch;

    BIO_clear_retry_flags(bio);
    if (tls_link_unsent(l) || s->sealed_n + (size_t)n > sizeof(s->sealed)) {
        buf_put(&l->out, s->sealed, s->sealed_n);
        s->sealed_n = 0;
        buf_put(&l->out, p, (size_t)n);
        return buf_failed(&l->out) ? -1 : n;
    }
    memcpy(s->sealed + s->sealed_n, p, (size_t)n);
    s->sealed_n += (size_t)n;
    return n;
}

static long control(BIO *bio, int cmd, long n, void *p)
{
    (void)bio, (void)n, (void)p;
    return cmd == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link");
    if (!method)
        return;
    BIO_meth_set_read(method, take_in);
    BIO_meth_set_write(method, put_out);
    BIO_meth_set_ctrl(method, control);
}

/* Sends what was sealed, behind what waits already; what the socket does not take waits, too. */
static int send_sealed(struct tls_link *l, int fd)
{
    struct tls_scratch *s = l->scratch;
    size_t n = s->sealed_n;
    ssize_t sent;

    s->sealed_n = 0;
    if (tls_link_unsent(l))
        return tls_link_flush(l, fd);
    if (n == 0)
        return 0;
    sent = send(fd, s->sealed, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    if (sent < 0)
        sent = 0;
    buf_put(&l->out, s->sealed + sent, n - (size_t)sent);
    if (!buf_failed(&l->out))
        return 0;
    errno = ENOMEM;
    return -1;
}

int tls_link_flush(struct tls_link *l, int fd)
{
    ssize_t n;

    if (tls_link_unsent(l) == 0)
        return 0;
    n = send(fd, l->out.p + l->out_at, tls_link_unsent(l), MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    l->out_at += (size_t)n;
    if (tls_link_unsent(l) == 0) {
        buf_free(&l->out);
        l->out_at = 0;
    }
    return 0;
}

/* ---- failures ---- */

/* The first one counts: later ones follow from it. */
static void tell_failure(struct tls_link *l, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *library = ERR_lib_error_string(code), *reason = ERR_reason_error_string(code);
    long verified = SSL_get_verify_result(l->ssl);
    const char *why = l->misnamed             ? "verify SAN list"
                      : verified == X509_V_OK ? NULL
                                              : X509_verify_cert_error_string(verified);

    if (l->failure)
        return;
    l->failure = mem_alloc(TLS_FAILURE);
    if (!l->failure)
        return;
    if (code == 0)
        snprintf(l->failure, TLS_FAILURE, "TLS_error:|0:%s:TLS_error_end", what);
    else
        snprintf(l->failure, TLS_FAILURE, "TLS_error:|%lu:%s:OPENSSL_internal:%s%s%s:TLS_error_end", code,
                 library ? library : "", reason ? reason : "", why ? ":" : "", why ? why : "");
}

static int break_off(struct tls_link *l, const char *what)
{
    tell_failure(l, what);
    ERR_clear_error();
    l->broken = true;
    errno = EPROTO;
    return -1;
}

/* ---- who is at the other end ---- */

static bool is_named_as(const struct tls_link *l, X509 *certificate, const GENERAL_NAMES *names)
{
    const struct tls_target *t = l->target;
    const struct tls_facts *f = tls_facts(SSL_get_SSL_CTX(l->ssl));
    const struct str *want = t ? t->names : f->names;
    size_t n = t ? t->nnames : f->nnames;

    if (f->mesh) {
        struct str identity = tls_identity(names);

        if (!tls_is_of_domain(identity, f->trust_domain))
            return false;
        for (size_t i = 0; i < n; i++)
            if (str_eq(identity, want[i]))
                return true;
        return n == 0;
    }
    if (n == 0 && t && t->sni.n)
        return tls_has_name(certificate, names, &t->sni, 1);
    return n == 0 || tls_has_name(certificate, names, want, n);
}

int tls_link_verify(X509_STORE_CTX *x, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_link *l = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get0_cert(x);
    GENERAL_NAMES *names;

    (void)arg;
    if (X509_verify_cert(x) != 1)
        return 0;
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    l->misnamed = !is_named_as(l, certificate, names);
    GENERAL_NAMES_free(names);
    if (l->misnamed)
        X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
    return !l->misnamed;
}

int tls_link_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_link *l = SSL_get_app_data(ssl);
    struct tls_session *to = l ? l->session : NULL;

    if (!to)
        return 0;
    tls_session_free(to);
    to->session = session; /* 1: the reference is ours */
    to->of = SSL_get_SSL_CTX(ssl);
    SSL_CTX_up_ref(to->of);
    return 1;
}

void tls_session_free(struct tls_session *s)
{
    SSL_SESSION_free(s->session);
    SSL_CTX_free(s->of);
    *s = (struct tls_session){ .session = NULL };
}

/* What its certificate says in a header; empty: no memory, or it has shown none. */
static struct str describe(struct arena *a, X509 *certificate, const struct tls_facts *f)
{
    struct xfcc_element el;

    if (!certificate || xfcc_of_certificate(a, certificate, f->own, !f->mesh, &el) < 0)
        return STR_NULL;
    return xfcc_format(a, &el);
}

static struct str keep(char **to, struct str s)
{
    struct str kept = { *to, s.n };

    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return kept;
}

/* Copies what others ask for, into one piece: OpenSSL's own objects are many times as large. */
static struct tls_peer *make_peer(const struct tls_link *l)
{
    const struct tls_facts *f = tls_facts(SSL_get_SSL_CTX(l->ssl));
    X509 *certificate = SSL_get0_peer_certificate(l->ssl);
    GENERAL_NAMES *names = certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
    struct str sni = l->session ? STR_NULL : str_of(SSL_get_servername(l->ssl, TLSEXT_NAMETYPE_host_name));
    struct str principal = names ? tls_identity(names) : STR_NULL, xfcc;
    struct arena a = ARENA_INIT(MOST_XFCC);
    struct buf told = BUF_INIT(TEXTS_MOST);
    struct tls_peer *p;
    char *at;

    tls_tell(l->ssl, f->told, &told);
    xfcc = l->session ? STR_NULL : describe(&a, certificate, f);
    p = mem_alloc(sizeof(*p) + principal.n + f->own.n + sni.n + xfcc.n + told.n);
    if (p) {
        at = (char *)(p + 1);
        p->refs = 1;
        p->proved = certificate && SSL_get_verify_mode(l->ssl) != SSL_VERIFY_NONE;
        p->principal = keep(&at, p->proved ? principal : STR_NULL);
        p->own = keep(&at, f->own);
        p->sni = keep(&at, sni);
        p->xfcc = keep(&at, xfcc);
        p->told = keep(&at, buf_view(&told));
    }
    buf_free(&told);
    arena_free(&a);
    GENERAL_NAMES_free(names);
    return p;
}

struct tls_peer *tls_peer_get(struct tls_peer *p)
{
    p->refs++;
    return p;
}

void tls_peer_put(struct tls_peer *p)
{
    if (p && --p->refs == 0)
        mem_free(p);
}

/* A resumed session's certificate was verified when the session began; since then it may have run out. */
static bool has_run_out(const struct tls_link *l)
{
    X509 *certificate = SSL_session_reused(l->ssl) ? SSL_get0_peer_certificate(l->ssl) : NULL;

    return certificate && SSL_get_verify_mode(l->ssl) != SSL_VERIFY_NONE &&
           X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0;
}

static int complete(struct tls_link *l)
{
    struct str protocol = tls_link_protocol(l);

    l->complete = true;
    if (has_run_out(l))
        return break_off(l, "the certificate of a session has expired");
    if (l->wants_http2 && protocol.n && !str_eqz(protocol, "h2"))
        return break_off(l, "the host does not speak HTTP/2");
    l->peer = make_peer(l);
    tls_target_put(l->target);
    l->target = NULL;
    return 1;
}

struct str tls_link_protocol(const struct tls_link *l)
{
    const unsigned char *p = NULL;
    unsigned n = 0;

    SSL_get0_alpn_selected(l->ssl, &p, &n);
    return (struct str){ (const char *)p, n };
}

/* ---- to and fro ---- */

/* Reads ciphertext into the scratch, as read(). */
static ssize_t read_sealed(struct tls_link *l, int fd, size_t most)
{
    size_t room = most < sizeof(l->scratch->in) ? most : sizeof(l->scratch->in);
    ssize_t n = recv(fd, l->scratch->in, room, 0);

    l->supply = n == (ssize_t)room ? TLS_MORE : n >= 0 ? TLS_SHORT : errno == EAGAIN ? TLS_EMPTY : TLS_NOT_READ;
    if (n > 0)
        l->in = (struct str){ l->scratch->in, (size_t)n };
    return n;
}

int tls_link_shake(struct tls_link *l, int fd)
{
    ssize_t n = 0;
    int rc, why;

    l->supply = TLS_NOT_READ;
    if (l->started && l->in.n == 0) {
        n = read_sealed(l, fd, SIZE_MAX);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return tls_link_flush(l, fd);
        if (n <= 0) {
            tell_failure(l, "the peer closed the connection during the handshake");
            errno = n == 0 ? EPROTO : errno;
            return -1;
        }
    }
    l->started = true;
    ERR_clear_error();
    rc = SSL_do_handshake(l->ssl);
    why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, rc);
    if (rc != 1 && why != SSL_ERROR_WANT_READ)
        tell_failure(l, "the handshake failed");
    if (send_sealed(l, fd) < 0)
        return -1;
    if (rc != 1)
        return why == SSL_ERROR_WANT_READ ? 0 : break_off(l, "the handshake failed");
    return complete(l);
}

/* Decrypts l->in into to[0..room). */
static size_t open_sealed(struct tls_link *l, char *to, size_t room)
{
    size_t got = 0;

    ERR_clear_error();
    while (got < room) {
        int n = SSL_read(l->ssl, to + got, (int)(room - got)), why;

        if (n > 0) {
            got += (size_t)n;
            continue;
        }
        why = SSL_get_error(l->ssl, n);
        if (why == SSL_ERROR_ZERO_RETURN)
            l->eof = true;
        else if (why != SSL_ERROR_WANT_READ)
            break_off(l, "reading failed");
        break;
    }
    return got;
}

static ssize_t tell_read(struct tls_link *l, size_t got)
{
    if (got)
        return (ssize_t)got;
    if (l->eof)
        return 0;
    errno = l->broken ? EPROTO : EAGAIN;
    return -1;
}

static ssize_t open_read(struct tls_link *l, int fd, char *to, size_t room)
{
    size_t got = open_sealed(l, to, room);

    if (l->scratch->sealed_n && send_sealed(l, fd) < 0) /* an alert, or an answer to new keys */
        return -1;
    return tell_read(l, got);
}

ssize_t tls_link_read(struct tls_link *l, int fd, char *to, size_t room)
{
    ssize_t n;

    l->supply = TLS_NOT_READ;
    if (l->eof || l->broken)
        return tell_read(l, 0);
    n = read_sealed(l, fd, room - TLS_SEALED);
    return n <= 0 ? n : open_read(l, fd, to, room);
}

ssize_t tls_link_open(struct tls_link *l, int fd, struct str sealed, char *to, size_t room)
{
    l->supply = TLS_NOT_READ;
    if (l->eof || l->broken)
        return tell_read(l, 0);
    l->in = sealed;
    return open_read(l, fd, to, room);
}

ssize_t tls_link_read_early(struct tls_link *l, int fd, char *to, size_t room)
{
    return open_read(l, fd, to, room);
}

/* It can say nothing more: what it has sealed must not go out as another link's, with which it shares the scratch. */
static int break_off_unsent(struct tls_link *l, const char *what)
{
    l->scratch->sealed_n = 0;
    return break_off(l, what);
}

/* Seals one record's worth. False: broken. */
static bool seal(struct tls_link *l, const void *p, size_t n)
{
    int rc;

    ERR_clear_error();
    rc = SSL_write(l->ssl, p, (int)n);
    if (rc == (int)n)
        return true;
    break_off_unsent(l, "writing failed");
    return false;
}

/* Fills a record from the front of the pieces. What is whole in the first piece is taken from where it is; smaller ones
 * are put together (in memory for what is read, of which nothing is there now), as each record costs. */
static size_t gather(struct tls_link *l, struct iovec **v, size_t *n, const char **from)
{
    size_t got = 0;

    while (*n && (*v)->iov_len == 0)
        ++*v, --*n;
    if (*n && ((*v)->iov_len >= TLS_RECORD || *n == 1)) {
        got = (*v)->iov_len < TLS_RECORD ? (*v)->iov_len : TLS_RECORD;
        *from = (*v)->iov_base;
        (*v)->iov_base = (char *)(*v)->iov_base + got;
        (*v)->iov_len -= got;
        return got;
    }
    *from = l->scratch->in;
    while (*n && got < TLS_RECORD) {
        size_t k = (*v)->iov_len < TLS_RECORD - got ? (*v)->iov_len : TLS_RECORD - got;

        memcpy(l->scratch->in + got, (*v)->iov_base, k);
        got += k;
        (*v)->iov_base = (char *)(*v)->iov_base + k;
        (*v)->iov_len -= k;
        if ((*v)->iov_len == 0)
            ++*v, --*n;
    }
    return got;
}

ssize_t tls_link_writev(struct tls_link *l, int fd, struct iovec *v, size_t n)
{
    size_t taken = 0, k = 1;

    if (l->broken) {
        errno = EPROTO;
        return -1;
    }
    if (tls_link_flush(l, fd) < 0)
        return -1;
    while (k && tls_link_unsent(l) == 0) {
        while (l->scratch->sealed_n + TLS_SEALED <= sizeof(l->scratch->sealed)) {
            const char *from = NULL;

            k = gather(l, &v, &n, &from);
            if (k == 0)
                break;
            if (!seal(l, from, k))
                return -1;
            taken += k;
        }
        if (send_sealed(l, fd) < 0)
            return -1;
    }
    return (ssize_t)taken;
}

size_t tls_link_seal(struct tls_link *l, struct str s, char *to)
{
    struct tls_scratch *scratch = l->scratch;
    size_t n;

    if (l->broken || !seal(l, s.p, s.n))
        return 0;
    n = scratch->sealed_n;
    memcpy(to, scratch->sealed, n);
    scratch->sealed_n = 0;
    return n;
}

int tls_link_keep(struct tls_link *l, struct str sealed)
{
    buf_str(&l->out, sealed);
    return buf_failed(&l->out) ? -1 : 0;
}

int tls_link_shut(struct tls_link *l, int fd)
{
    if (l->broken || !l->complete || l->shut)
        return 0;
    l->shut = true;
    ERR_clear_error();
    if (SSL_shutdown(l->ssl) < 0)
        return break_off_unsent(l, "closing failed");
    return send_sealed(l, fd);
}

/* ---- links ---- */

static struct tls_link *new_link(struct tls_context *c, struct tls_scratch *scratch)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SSL_CTX *ctx = tls_context_ssl(c);
    struct tls_link *l;
    BIO *bio;

    pthread_once(&once, make_method);
    if (!ctx) {
        errno = EPROTO;
        return NULL;
    }
    l = mem_zalloc(sizeof(*l));
    bio = method ? BIO_new(method) : NULL;
    if (l)
        l->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (!l || !bio || !l->ssl) {
        BIO_free(bio);
        tls_link_free(l);
        errno = ENOMEM;
        return NULL;
    }
    l->scratch = scratch;
    l->out = (struct buf)BUF_INIT(MOST_OUT);
    BIO_set_data(bio, l);
    BIO_set_init(bio, 1);
    SSL_set_bio(l->ssl, bio, bio);
    SSL_set_app_data(l->ssl, l);
    return l;
}

struct tls_link *tls_link_accept(struct tls_context *c, struct tls_scratch *scratch, struct str hello)
{
    struct tls_link *l = new_link(c, scratch);

    if (!l)
        return NULL;
    SSL_set_accept_state(l->ssl);
    l->in = hello;
    return l;
}

static int offer_protocols(struct tls_link *l, bool mesh, enum tls_speech speech)
{
    static const struct {
        const char *outside, *mesh; /* as Istio's proxies offer them */
    } names[] = {
        [TLS_BYTES] = { "", "\23istio-peer-exchange\5istio" },
        [TLS_HTTP1] = { "\10http/1.1", "\16istio-http/1.1\5istio\10http/1.1" },
        [TLS_HTTP2] = { "\2h2", "\10istio-h2\5istio\2h2" },
    };
    struct str list = str_of(mesh ? names[speech].mesh : names[speech].outside);

    return list.n ? SSL_set_alpn_protos(l->ssl, (const unsigned char *)list.p, (unsigned)list.n) : 0;
}

/* The name that is asked for; addresses are none (RFC 6066 3). */
static bool set_sni(struct tls_link *l, struct str sni)
{
    char text[256];

    if (sni.n == 0 || sni.n >= sizeof(text))
        return sni.n == 0;
    memcpy(text, sni.p, sni.n);
    text[sni.n] = '\0';
    return SSL_set_tlsext_host_name(l->ssl, text) == 1;
}

struct tls_link *tls_link_connect(struct tls_target *t, enum tls_speech speech, struct tls_scratch *scratch,
                                  struct tls_session *session)
{
    struct tls_link *l = new_link(t->context, scratch);

    if (!l)
        return NULL;
    SSL_set_connect_state(l->ssl);
    l->target = tls_target_get(t);
    l->session = session;
    l->wants_http2 = speech == TLS_HTTP2;
    if (session->session && session->of == SSL_get_SSL_CTX(l->ssl))
        SSL_set_session(l->ssl, session->session); /* if it is refused, a whole handshake follows */
    if (!set_sni(l, t->sni) || offer_protocols(l, t->mesh, speech) != 0) {
        tls_link_free(l);
        errno = ENOMEM;
        return NULL;
    }
    return l;
}

void tls_link_free(struct tls_link *l)
{
    if (!l)
        return;
    if (l->ssl) {
        SSL_set_app_data(l->ssl, NULL);
        if (!l->broken) /* to OpenSSL the session of a connection that ends without a word is not to be resumed */
            SSL_set_shutdown(l->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(l->ssl);
    tls_target_put(l->target);
    buf_free(&l->out);
    tls_peer_put(l->peer);
    mem_free(l->failure);
    mem_free(l);
}

/* ---- targets ---- */

static uint64_t hash_of(const struct tls_target *t)
{
    struct buf b = BUF_INIT(1024 * 1024);
    uint64_t h;

    buf_put(&b, &t->context, sizeof(t->context)); /* the same settings are the same context, while it is held */
    buf_put(&b, &t->sni.n, sizeof(t->sni.n));
    buf_str(&b, t->sni);
    for (size_t i = 0; i < t->nnames; i++) {
        buf_put(&b, &t->names[i].n, sizeof(t->names[i].n));
        buf_str(&b, t->names[i]);
    }
    h = str_hash(buf_view(&b));
    buf_free(&b);
    return h;
}

struct tls_target *tls_target_new(struct tls_store *s, const struct tls_client *c, struct str host)
{
    struct str sni = c->sni.n ? c->sni : host;
    size_t size = sizeof(struct tls_target) + c->nnames * sizeof(struct str) + sni.n;
    struct tls_target *t;
    struct str *names;
    char *at;

    for (size_t i = 0; i < c->nnames; i++)
        size += c->names[i].n;
    t = mem_zalloc(size);
    if (!t)
        return NULL;
    names = (struct str *)(t + 1);
    at = (char *)(names + c->nnames);
    for (size_t i = 0; i < c->nnames; i++)
        names[i] = keep(&at, c->names[i]);
    *t = (struct tls_target){ .refs = 1, .mesh = c->mode == TLS_CLIENT_AUTO || c->mode == TLS_CLIENT_ISTIO,
                              .sni = keep(&at, sni), .names = names, .nnames = c->nnames };
    t->context = tls_store_client(s, c, NULL);
    if (!t->context) {
        mem_free(t);
        return NULL;
    }
    t->hash = hash_of(t);
    return t;
}

struct tls_target *tls_target_get(struct tls_target *t)
{
    t->refs++;
    return t;
}

void tls_target_put(struct tls_target *t)
{
    if (!t || --t->refs > 0)
        return;
    tls_context_put(t->context);
    mem_free(t);
}
