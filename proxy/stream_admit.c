/* stream_admit.c: who may: tokens first, then policies, before any route is looked at (Istio's order of filters). */
#include "proxy/stream-internal.h"

#include "proxy/admit.h"
#include "proxy/policy.h"

static struct str nth_field(const void *of, struct str name, size_t n)
{
    const struct stream *s = of;
    const struct http_head *h = &s->head;

    if (str_eqz(name, ":authority") || str_eqz(name, "host"))
        return n == 0 && s->rq.authority.n ? s->rq.authority : STR_NULL;
    if (str_eqz(name, ":method"))
        return n == 0 ? s->rq.method : STR_NULL;
    if (str_eqz(name, ":path"))
        return n == 0 ? s->target : STR_NULL;
    for (size_t i = 0; i < h->nfields; i++)
        if (str_ieq(http_text(h, h->fields[i].name), name) && n-- == 0)
            return http_text(h, h->fields[i].value);
    return STR_NULL;
}

static void reply_unauthorized(struct stream *s, const struct jwt_answer *a)
{
    struct str details = jwt_details(&s->arena, a->status);
    struct fields f = { .n = 0 };

    if (jwt_status_code(a->status) == 401) {
        struct str challenge = jwt_challenge(&s->arena, a->status, s->rq.scheme, s->rq.authority, s->rq.path);

        if (challenge.p)
            fields_add(&f, STR("www-authenticate"), challenge);
    }
    s->details = details.p ? details.p : "jwt_authn_access_denied";
    stream_reply_with(s, jwt_status_code(a->status), &f, str_of(jwt_status_text(a->status)));
}

static bool is_preflight(const struct stream *s)
{
    return str_eqz(s->rq.method, "OPTIONS") && s->head.first[HTTP_ORIGIN] &&
           s->head.first[HTTP_ACCESS_CONTROL_REQUEST_METHOD];
}

enum { KEYS_LOOK_MS = 20, KEYS_WAIT_MS = 5000 };

/* Keys come from another thread, seldom: looking again now and then costs less than being told. False: it has waited
 * for long enough. */
static bool wait_for_keys(struct stream *s, const struct jwt_rule *r)
{
    int64_t ms = r && r->timeout_ms > 0 ? r->timeout_ms : KEYS_WAIT_MS;

    if (!s->keys_until_ns)
        s->keys_until_ns = s->w->now_ns + ms * 1000000;
    if (!s->cl->wl->sources || s->w->now_ns >= s->keys_until_ns)
        return false;
    s->state = STREAM_AWAITING_KEYS;
    stream_set_timer(&s->pause, KEYS_LOOK_MS);
    return true;
}

/* Its keys have been changed, perhaps. */
static void renew_keys(struct worker_listener *wl, const struct jwt_rule *r)
{
    struct jwks_source *from = wl->sources && r ? wl->sources[r - wl->auth.rules] : NULL;

    if (from)
        jwks_store_renew(wl->w->settings->jwks, from);
}

/* The token is the caller's to put; `answer` says by which rule. */
static bool authenticate(struct stream *s, const struct header_source *headers, struct jwt_answer *answer)
{
    const struct jwt_auth *auth = &s->cl->wl->auth;

    *answer = (struct jwt_answer){ .status = JWT_OK };
    if (auth->nrules == 0 || is_preflight(s))
        return true;
    worker_listener_read_keys(s->cl->wl);
    jwt_authenticate(auth, &s->arena, headers, s->target, worker_wall_ns(s->w, s->w->now_ns) / 1000000000, answer);
    if (answer->status == JWT_NO_KEY)
        renew_keys(s->cl->wl, answer->rule);
    if (answer->status == JWT_KEYS_AWAITED && wait_for_keys(s, answer->rule))
        return false;
    if (answer->status != JWT_OK) {
        reply_unauthorized(s, answer);
        return false;
    }
    s->auth_ops = answer->ops;
    s->nauth_ops = answer->nops;
    if (!str_eq(answer->target, s->target)) {
        s->target = s->path = answer->target;
        router_request_init(&s->rq, &s->head, s->rq.scheme, s->target);
    }
    return true;
}

static void reply_denied(struct stream *s, const struct policy_verdict *v)
{
    char details[POLICY_DETAILS];
    struct str kept;

    policy_details(v, details);
    kept = arena_printf(&s->arena, "%s", details);
    stream_reply(s, 403, 0, kept.p ? kept.p : "rbac_access_denied", STR("RBAC: access denied"));
}

struct header_source stream_headers(const struct stream *s)
{
    return (struct header_source){ nth_field, s };
}

bool stream_admit(struct stream *s)
{
    const struct listener_policy *p = &s->cl->wl->l->policy;
    struct header_source headers = stream_headers(s);
    struct policy_facts facts;
    struct policy_verdict verdict = { .allowed = true };
    struct jwt_answer answer;

    if (p->npolicies == 0 && p->njwt == 0)
        return true;
    if (!authenticate(s, &headers, &answer))
        return false;
    if (p->npolicies) {
        admit_facts(&facts, s->cl->peer, s->cl->wl->l);
        facts.http = true;
        facts.method = s->rq.method;
        facts.host = s->rq.authority;
        facts.path = s->rq.path;
        facts.headers = headers;
        facts.token = answer.token;
        facts.token_rule = answer.rule;
        admit_remote(&facts, s->l->direction == LISTENER_GATEWAY ? s->client_ip : s->xff);
        policy_decide(p, &facts, &verdict);
    }
    jwt_put(answer.token);
    if (!verdict.allowed)
        reply_denied(s, &verdict);
    return verdict.allowed;
}
