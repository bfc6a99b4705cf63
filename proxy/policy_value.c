/* policy_value.c: exact texts, prefixes, suffixes, presence and templates, against what the request has.
 *
 * What each kind means is Istio's choice of Envoy matcher (istio: pilot/pkg/security/authz/matcher and …/model). */
#include "proxy/policy-internal.h"


bool policy_text_is(const struct policy_value *v, struct str s)
{
    switch (v->kind) {
    case POLICY_EXACT:
        return str_eq(s, v->text);
    case POLICY_PREFIX:
        return str_starts(s, v->text);
    case POLICY_SUFFIX:
        return str_ends(s, v->text);
    case POLICY_PRESENT:
        return s.n > 0;
    case POLICY_TEMPLATE:
        break;
    }
    return false;
}

bool policy_host_is(const struct policy_value *v, struct str host)
{
    switch (v->kind) {
    case POLICY_EXACT:
        return str_ieq(host, v->text);
    case POLICY_PREFIX:
        return host.n >= v->text.n && str_ieq((struct str){ host.p, v->text.n }, v->text);
    case POLICY_SUFFIX:
        return host.n >= v->text.n && str_ieq(str_from(host, host.n - v->text.n), v->text);
    case POLICY_PRESENT:
        return host.p != NULL;
    case POLICY_TEMPLATE:
        break;
    }
    return false;
}

/* {*} is one segment, of any bytes but "/", at least one; {**} any number of bytes. Envoy's own sets leave out "=" and
 * "*", so that a DENY for /admin/{*} would not see /admin/a=b; Istio's documentation knows of no such exception.
 *
 * One place to come back to is enough: what stands behind {**} either fits as early as possible, or not at all. */
static bool template_is(struct str t, struct str path)
{
    struct str any = STR("{**}"), one = STR("{*}"), back_t = STR_NULL, back_path = STR_NULL;

    for (;;) {
        if (str_starts(t, any)) {
            back_t = t = str_from(t, any.n);
            back_path = path;
            if (t.n == 0)
                return true;
        } else if (str_starts(t, one) && path.n && path.p[0] != '/') {
            ptrdiff_t end = str_chr(path, '/');

            t = str_from(t, one.n);
            path = end < 0 ? str_from(path, path.n) : str_from(path, (size_t)end);
        } else if (t.n && path.n && !str_starts(t, one) && t.p[0] == path.p[0]) {
            t = str_from(t, 1);
            path = str_from(path, 1);
        } else if (t.n == 0 && path.n == 0) {
            return true;
        } else if (back_t.p && back_path.n) { /* {**} takes a byte more */
            t = back_t;
            back_path = path = str_from(back_path, 1);
        } else {
            return false;
        }
    }
}

bool policy_path_is(const struct policy_value *v, struct str path)
{
    return v->kind == POLICY_TEMPLATE ? template_is(v->text, path) : policy_text_is(v, path);
}

bool policy_pair_is(const struct policy_value *v, struct str a, struct str b)
{
    struct str text = v->text;

    switch (v->kind) {
    case POLICY_EXACT:
        return text.n == a.n + 1 + b.n && str_starts(text, a) && text.p[a.n] == '/' && str_ends(text, b);
    case POLICY_PREFIX:
        if (text.n <= a.n)
            return str_starts(a, text);
        return str_starts(text, a) && text.p[a.n] == '/' && str_starts(b, str_from(text, a.n + 1));
    case POLICY_SUFFIX:
        if (text.n <= b.n)
            return str_ends(b, text);
        return str_ends(text, b) && text.p[text.n - b.n - 1] == '/' &&
               str_ends(a, (struct str){ text.p, text.n - b.n - 1 });
    case POLICY_PRESENT:
        return a.n || b.n;
    case POLICY_TEMPLATE:
        break;
    }
    return false;
}

/* Whether the fields of one name, joined by commas, read `text` from byte `at` on. They are not put together: there is
 * no length at which a condition would stop to see. */
static bool joined_has(const struct header_source *headers, struct str name, size_t at, struct str text)
{
    size_t from = 0; /* of the field (and the comma in front of it) in the whole */
    struct str field;

    for (size_t i = 0; text.n && (field = header_nth(headers, name, i)).p; i++) {
        if (i > 0) {
            if (from == at) {
                if (text.p[0] != ',')
                    return false;
                text = str_from(text, 1);
                at++;
            }
            from++;
        }
        if (text.n && at < from + field.n) {
            struct str rest = str_from(field, at - from);
            size_t n = rest.n < text.n ? rest.n : text.n;

            if (memcmp(rest.p, text.p, n) != 0)
                return false;
            text = str_from(text, n);
            at += n;
        }
        from += field.n;
    }
    return text.n == 0;
}

bool policy_header_is(const struct policy_value *v, const struct header_source *headers, struct str name)
{
    size_t total = 0, n = 0;
    struct str field;

    while ((field = header_nth(headers, name, n)).p) {
        total += field.n + (n > 0);
        n++;
    }
    if (n == 0 || v->kind == POLICY_TEMPLATE)
        return false;
    if (v->kind == POLICY_PRESENT)
        return true;
    if (total < v->text.n || (v->kind == POLICY_EXACT && total != v->text.n))
        return false;
    return joined_has(headers, name, v->kind == POLICY_SUFFIX ? total - v->text.n : 0, v->text);
}

/* Istio takes the value apart at its last slash and asks each side for itself: a subject with a slash in it is no other
 * issuer's subject. */
bool policy_request_principal_is(const struct policy_value *v, const struct jwt *t)
{
    struct str issuer = v->text, subject = STR_NULL;
    bool has_slash = false;

    if (!t || !t->issuer.p || !t->subject.p)
        return false;
    for (size_t i = v->text.n; i-- > 0 && !has_slash;)
        if (v->text.p[i] == '/') {
            issuer = (struct str){ v->text.p, i };
            subject = str_from(v->text, i + 1);
            has_slash = true;
        }
    switch (v->kind) {
    case POLICY_PRESENT:
        return t->issuer.n && t->subject.n;
    case POLICY_EXACT:
        return str_eq(t->issuer, issuer) && str_eq(t->subject, subject);
    case POLICY_PREFIX:
        if (!has_slash)
            return str_starts(t->issuer, issuer) && t->subject.n;
        return str_eq(t->issuer, issuer) && t->subject.n && str_starts(t->subject, subject);
    case POLICY_SUFFIX:
        if (!has_slash)
            return t->issuer.n && str_ends(t->subject, v->text);
        return t->issuer.n && str_ends(t->issuer, issuer) && str_eq(t->subject, subject);
    case POLICY_TEMPLATE:
        break;
    }
    return false;
}

static bool word_is(const struct policy_value *v, struct str s)
{
    while (s.p) {
        struct str word = str_cut(&s, ' ');

        if (word.n && policy_text_is(v, word))
            return true;
    }
    return false;
}

bool policy_claim_is(const struct policy_value *v, const json_t *claim, bool words)
{
    const json_t *item;
    size_t i;

    if (json_is_string(claim)) {
        struct str s = { json_string_value(claim), json_string_length(claim) };

        return words ? word_is(v, s) : policy_text_is(v, s);
    }
    json_array_foreach (claim, i, item)
        if (json_is_string(item) &&
            policy_text_is(v, (struct str){ json_string_value(item), json_string_length(item) }))
            return true;
    return false;
}

bool policy_net_has(const struct policy_net *net, const struct policy_ip *ip)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    unsigned whole = net->bits / 8, rest = net->bits % 8;

    /* ::/0 is all of IPv6, and not IPv4, which only has a place inside of it here */
    if (!ip->known || (net->bits < 96 && memcmp(ip->b, mapped, sizeof(mapped)) == 0))
        return false;
    if (memcmp(net->ip, ip->b, whole) != 0)
        return false;
    return rest == 0 || (net->ip[whole] >> (8 - rest)) == (ip->b[whole] >> (8 - rest));
}
