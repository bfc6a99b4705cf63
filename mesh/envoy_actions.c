/* envoy_actions.c: what is made of a request to find its rate limit: config.route.v3.RateLimit.
 *
 * Each of a list of actions makes one entry, all together a descriptor. An action that is not understood would make
 * another descriptor than is meant: then none is made, and that is told. */
#include "mesh/envoy_filter-internal.h"
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

/* ---- what a header's or parameter's value is compared with ---- */

struct envoy_regex {
    const struct yaml_node *at;
    struct str regex;
};

struct envoy_string { /* type.matcher.v3.StringMatcher */
    const struct yaml_node *at;
    struct str exact, prefix, suffix, contains;
    struct envoy_regex *safe_regex;
    bool ignore_case;
    struct string_match match;
};

struct envoy_key { /* a HeaderMatcher or QueryParameterMatcher */
    const struct yaml_node *at;
    struct str name, exact, prefix, suffix, contains;
    struct envoy_regex *safe_regex;
    struct envoy_string *string;
    bool present, invert;
    struct key_match match;
};

static const struct field regex_fields[] = {
    REQUIRED(STRING, envoy_regex, regex, "regex"),
    END_OF_FIELDS,
};
static const struct message regex_message = { sizeof(struct envoy_regex), regex_fields, MESSAGE_FOREIGN, NULL };

/* "contains" and "suffix" are expressions. */
static void compile_around(struct check *c, const struct yaml_node *at, struct str text, bool contains,
                           struct string_match *to)
{
    struct buf b = BUF_INIT(64 * 1024);

    buf_puts(&b, ".*");
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < 0x80 && !(text.p[i] >= '0' && text.p[i] <= '9') &&
            !((text.p[i] | 32) >= 'a' && (text.p[i] | 32) <= 'z'))
            buf_putc(&b, '\\');
        buf_putc(&b, text.p[i]);
    }
    buf_puts(&b, contains ? ".*" : "");
    if (buf_failed(&b))
        c->nomem = true;
    else
        *to = (struct string_match){ .kind = STRING_REGEX,
                                     .value = text,
                                     .re = vs_regex(c, at, NULL, buf_view(&b),
                                                    REGEX_FULL | (to->ignore_case ? REGEX_IGNORE_CASE : 0)) };
    buf_free(&b);
}

/* One of them is given. */
static void compile(struct check *c, const struct yaml_node *at, const struct envoy_string *s, struct string_match *to)
{
    to->ignore_case = s->ignore_case;
    if (check_get(at, "suffix") || check_get(at, "suffixMatch")) {
        compile_around(c, at, s->suffix, false, to);
    } else if (check_get(at, "contains") || check_get(at, "containsMatch")) {
        compile_around(c, at, s->contains, true, to);
    } else if (s->safe_regex) {
        to->kind = STRING_REGEX;
        to->value = s->safe_regex->regex;
        to->re = vs_regex(c, s->safe_regex->at, "regex", s->safe_regex->regex, REGEX_FULL);
    } else if (check_get(at, "prefix") || check_get(at, "prefixMatch")) {
        to->kind = STRING_PREFIX;
        to->value = s->prefix;
    } else {
        to->kind = STRING_EXACT;
        to->value = s->exact;
    }
}

static void check_string(struct check *c, void *message)
{
    static const char *const forms[] = { "exact", "prefix", "suffix", "safeRegex", "contains", NULL };
    struct envoy_string *s = message;

    check_count_of(c, s->at, 1, 1, forms);
    compile(c, s->at, s, &s->match);
}

static const struct field string_fields[] = {
    FIELD(STRING, envoy_string, exact, "exact"),
    FIELD(STRING, envoy_string, prefix, "prefix"),
    FIELD(STRING, envoy_string, suffix, "suffix"),
    FIELD_OF(MESSAGE, envoy_string, safe_regex, "safeRegex", &regex_message),
    FIELD(STRING, envoy_string, contains, "contains"),
    FIELD(BOOL, envoy_string, ignore_case, "ignoreCase"),
    END_OF_FIELDS,
};
static const struct message string_message = { sizeof(struct envoy_string), string_fields, MESSAGE_FOREIGN,
                                               check_string };

static void compile_key(struct check *c, struct envoy_key *k)
{
    const struct envoy_string own = { .exact = k->exact, .prefix = k->prefix, .suffix = k->suffix,
                                      .contains = k->contains, .safe_regex = k->safe_regex };
    const struct yaml_node *present = check_get(k->at, "presentMatch");

    k->match = (struct key_match){ .name = host_lower(c->arena, k->name), .invert = k->invert };
    c->nomem = c->nomem || !k->match.name.p;
    if (k->string)
        k->match.value = k->string->match;
    else if (present)
        k->match.value.kind = STRING_PRESENT;
    else
        compile(c, k->at, &own, &k->match.value);
    if (present && !k->present)
        k->match.invert = !k->match.invert;
}

static void check_header(struct check *c, void *message)
{
    static const char *const forms[] = { "stringMatch", "presentMatch", "exactMatch", "prefixMatch", "suffixMatch",
                                         "safeRegexMatch", "containsMatch", NULL };
    struct envoy_key *k = message;

    if (k->name.n && !name_is_header(k->name))
        check_error(c, k->at, "name", "\"%.*s\" is no header name", STR_ARG(k->name));
    if (check_count_of(c, k->at, 0, 1, forms) == 0) {
        k->present = true;
        k->match = (struct key_match){ .name = host_lower(c->arena, k->name), .value = { .kind = STRING_PRESENT },
                                       .invert = k->invert };
        c->nomem = c->nomem || !k->match.name.p;
    } else {
        compile_key(c, k);
    }
}

static const struct field header_fields[] = {
    REQUIRED(STRING, envoy_key, name, "name"),
    FIELD_OF(MESSAGE, envoy_key, string, "stringMatch", &string_message),
    FIELD(BOOL, envoy_key, present, "presentMatch"),
    FIELD(STRING, envoy_key, exact, "exactMatch"),
    FIELD(STRING, envoy_key, prefix, "prefixMatch"),
    FIELD(STRING, envoy_key, suffix, "suffixMatch"),
    FIELD(STRING, envoy_key, contains, "containsMatch"),
    FIELD_OF(MESSAGE, envoy_key, safe_regex, "safeRegexMatch", &regex_message),
    FIELD(BOOL, envoy_key, invert, "invertMatch"),
    END_OF_FIELDS,
};
static const struct message header_message = { sizeof(struct envoy_key), header_fields, MESSAGE_FOREIGN, check_header };

static void check_parameter(struct check *c, void *message)
{
    static const char *const forms[] = { "stringMatch", "presentMatch", NULL };
    struct envoy_key *k = message;

    check_count_of(c, k->at, 1, 1, forms);
    if (k->string)
        k->match = (struct key_match){ .name = k->name, .value = k->string->match };
    else
        k->match = (struct key_match){ .name = k->name, .value = { .kind = STRING_PRESENT }, .invert = !k->present };
}

static const struct field parameter_fields[] = {
    REQUIRED(STRING, envoy_key, name, "name"),
    FIELD_OF(MESSAGE, envoy_key, string, "stringMatch", &string_message),
    FIELD(BOOL, envoy_key, present, "presentMatch"),
    END_OF_FIELDS,
};
static const struct message parameter_message = { sizeof(struct envoy_key), parameter_fields, MESSAGE_FOREIGN,
                                                  check_parameter };

/* ---- actions ---- */

struct envoy_generic {
    const struct yaml_node *at;
    struct str key, value;
};

struct envoy_value { /* of a header or query parameter */
    const struct yaml_node *at;
    struct str name, key;
    bool skip_if_absent;
};

struct envoy_values { /* matches of several */
    const struct yaml_node *at;
    struct str key, value;
    bool expect;
    LIST_OF(struct envoy_key) matches;
};

struct envoy_action {
    const struct yaml_node *at, *remote_address, *destination_cluster;
    struct envoy_generic *generic;
    struct envoy_value *header, *query;
    struct envoy_values *header_match, *query_match;
    struct rate_limit_action compiled; /* key.n 0: not understood */
};

static const struct field generic_fields[] = {
    REQUIRED(STRING, envoy_generic, value, "descriptorValue"),
    FIELD(STRING, envoy_generic, key, "descriptorKey"),
    END_OF_FIELDS,
};
static const struct message generic_message = { sizeof(struct envoy_generic), generic_fields, MESSAGE_FOREIGN, NULL };

static void check_value(struct check *c, void *message)
{
    const struct envoy_value *v = message;

    if (v->name.n == 0)
        check_error(c, v->at, NULL, "the name of what is looked at must not be empty");
    if (check_get(v->at, "descriptorKey") && v->key.n == 0)
        check_error(c, v->at, "descriptorKey", "must not be empty");
}

static const struct field header_value_fields[] = {
    REQUIRED(STRING, envoy_value, name, "headerName"),
    REQUIRED(STRING, envoy_value, key, "descriptorKey"),
    FIELD(BOOL, envoy_value, skip_if_absent, "skipIfAbsent"),
    END_OF_FIELDS,
};
static const struct message header_value_message = { sizeof(struct envoy_value), header_value_fields, MESSAGE_FOREIGN,
                                                     check_value };
static const struct field query_value_fields[] = {
    REQUIRED(STRING, envoy_value, name, "queryParameterName"),
    REQUIRED(STRING, envoy_value, key, "descriptorKey"),
    FIELD(BOOL, envoy_value, skip_if_absent, "skipIfAbsent"),
    END_OF_FIELDS,
};
static const struct message query_value_message = { sizeof(struct envoy_value), query_value_fields, MESSAGE_FOREIGN,
                                                    check_value };
static const struct field header_match_fields[] = {
    FIELD(STRING, envoy_values, key, "descriptorKey"),
    REQUIRED(STRING, envoy_values, value, "descriptorValue"),
    FIELD(BOOL, envoy_values, expect, "expectMatch"),
    REQUIRED_OF(MESSAGES, envoy_values, matches, "headers", &header_message),
    END_OF_FIELDS,
};
static const struct message header_match_message = { sizeof(struct envoy_values), header_match_fields, MESSAGE_FOREIGN,
                                                     NULL };
static const struct field query_match_fields[] = {
    FIELD(STRING, envoy_values, key, "descriptorKey"),
    REQUIRED(STRING, envoy_values, value, "descriptorValue"),
    FIELD(BOOL, envoy_values, expect, "expectMatch"),
    REQUIRED_OF(MESSAGES, envoy_values, matches, "queryParameters", &parameter_message),
    END_OF_FIELDS,
};
static const struct message query_match_message = { sizeof(struct envoy_values), query_match_fields, MESSAGE_FOREIGN,
                                                    NULL };

static struct str or_else(struct str s, struct str otherwise)
{
    return s.n ? s : otherwise;
}

static void compile_values(struct check *c, const struct envoy_values *v, struct rate_limit_action *to)
{
    struct key_match *m = check_alloc(c, v->matches.n, sizeof(*m));

    for (size_t i = 0; m && i < v->matches.n; i++)
        m[i] = v->matches.v[i].match;
    to->value = v->value;
    to->matches = m;
    to->nmatches = m ? v->matches.n : 0;
    to->negate = check_get(v->at, "expectMatch") && !v->expect;
}

static void compile_value(struct check *c, const struct envoy_value *v, struct rate_limit_action *to)
{
    to->key = v->key;
    to->name = to->source == RATE_LIMIT_HEADER ? host_lower(c->arena, v->name) : v->name;
    to->skip_if_absent = v->skip_if_absent;
    c->nomem = c->nomem || !to->name.p;
}

static void check_action(struct check *c, void *message)
{
    static const char *const forms[] = { "genericKey", "requestHeaders", "queryParameters", "headerValueMatch",
                                         "queryParameterValueMatch", "remoteAddress", "destinationCluster", NULL };
    struct envoy_action *a = message;
    struct rate_limit_action *to = &a->compiled;

    check_count_of(c, a->at, 0, 1, forms);
    if (a->generic) {
        *to = (struct rate_limit_action){ .source = RATE_LIMIT_GENERIC, .value = a->generic->value };
        to->key = or_else(a->generic->key, STR("generic_key"));
    } else if (a->header || a->query) {
        to->source = a->header ? RATE_LIMIT_HEADER : RATE_LIMIT_QUERY;
        compile_value(c, a->header ? a->header : a->query, to);
    } else if (a->header_match) {
        to->source = RATE_LIMIT_HEADER_MATCH;
        to->key = or_else(a->header_match->key, STR("header_match"));
        compile_values(c, a->header_match, to);
    } else if (a->query_match) {
        to->source = RATE_LIMIT_QUERY_MATCH;
        to->key = or_else(a->query_match->key, STR("query_match"));
        compile_values(c, a->query_match, to);
    } else if (a->remote_address) {
        *to = (struct rate_limit_action){ .source = RATE_LIMIT_REMOTE_ADDRESS, .key = STR("remote_address") };
    } else if (a->destination_cluster) {
        *to = (struct rate_limit_action){ .source = RATE_LIMIT_DESTINATION_CLUSTER, .key = STR("destination_cluster") };
    }
}

static const struct field action_fields[] = {
    FIELD_OF(MESSAGE, envoy_action, generic, "genericKey", &generic_message),
    FIELD_OF(MESSAGE, envoy_action, header, "requestHeaders", &header_value_message),
    FIELD_OF(MESSAGE, envoy_action, query, "queryParameters", &query_value_message),
    FIELD_OF(MESSAGE, envoy_action, header_match, "headerValueMatch", &header_match_message),
    FIELD_OF(MESSAGE, envoy_action, query_match, "queryParameterValueMatch", &query_match_message),
    FIELD(ANY, envoy_action, remote_address, "remoteAddress"),
    FIELD(ANY, envoy_action, destination_cluster, "destinationCluster"),
    END_OF_FIELDS,
};
static const struct message action_message = { sizeof(struct envoy_action), action_fields, MESSAGE_FOREIGN,
                                               check_action };

/* ---- a list of them ---- */

static bool are_known(struct check *c, const struct envoy_actions *a)
{
    for (size_t i = 0; i < a->v.n; i++)
        if (a->v.v[i].compiled.key.n == 0) {
            check_warn(c, a->v.v[i].at, NULL, "no descriptor is made of these actions: this one is not known here");
            return false;
        }
    return true;
}

static void check_actions(struct check *c, void *message)
{
    struct envoy_actions *a = message;
    struct rate_limit_action *v;

    if (a->stage && !(a->stage->kind == YAML_NUMBER && a->stage->number == 0)) {
        check_warn(c, a->at, "stage", "not applied, nor are these actions: limits have stage 0 here");
        return;
    }
    if (a->v.n > RATE_LIMIT_MOST_ENTRIES)
        check_error(c, a->at, "actions", "%zu actions: at most %d make a descriptor", a->v.n, RATE_LIMIT_MOST_ENTRIES);
    v = are_known(c, a) ? check_alloc(c, a->v.n, sizeof(*v)) : NULL;
    for (size_t i = 0; v && i < a->v.n; i++)
        v[i] = a->v.v[i].compiled;
    a->compiled = (struct rate_limit_actions){ v, v ? a->v.n : 0 };
}

static const struct field actions_fields[] = {
    REQUIRED_OF(MESSAGES, envoy_actions, v, "actions", &action_message),
    FIELD(ANY, envoy_actions, stage, "stage"),
    END_OF_FIELDS,
};
const struct message envoy_actions_message = { sizeof(struct envoy_actions), actions_fields, MESSAGE_FOREIGN,
                                               check_actions };

void envoy_collect_actions(struct check *c, const struct envoy_actions *v, size_t n,
                           const struct rate_limit_actions **to, size_t *nto)
{
    struct rate_limit_actions *all = check_alloc(c, n, sizeof(*all));

    if (n > RATE_LIMIT_MOST_ACTIONS)
        check_error(c, v[RATE_LIMIT_MOST_ACTIONS].at, NULL, "one too many: at most %d descriptors are made of a "
                    "request", RATE_LIMIT_MOST_ACTIONS);
    *nto = 0;
    for (size_t i = 0; all && i < n; i++)
        if (v[i].compiled.n)
            all[(*nto)++] = v[i].compiled;
    *to = all;
}
