/* envoy_parts.c: config.core.v3.HeaderValueOption: a header that something is to have. */
#include "mesh/envoy_filter-internal.h"
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"

static const struct field header_fields[] = {
    REQUIRED(STRING, envoy_header, key, "key"),
    FIELD(STRING, envoy_header, value, "value"),
    END_OF_FIELDS,
};
static const struct message header_message = { sizeof(struct envoy_header), header_fields, MESSAGE_FOREIGN, NULL };

static void check_header_option(struct check *c, void *message)
{
    const struct envoy_header_option *o = message;

    if (o->header && o->header->key.n && (!name_is_header(o->header->key) || o->header->key.p[0] == ':'))
        check_error(c, o->header->at, "key", "\"%.*s\" is no header name", STR_ARG(o->header->key));
    if (o->header && str_chr(o->header->value, '%') >= 0)
        check_warn(c, o->header->at, "value", "is sent as it stands: no %%OPERATOR%% is applied");
}

static const char *const append_actions[] = { "APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD",
                                              "OVERWRITE_IF_EXISTS", NULL };
static const struct field header_option_fields[] = {
    REQUIRED_OF(MESSAGE, envoy_header_option, header, "header", &header_message),
    FIELD(BOOL, envoy_header_option, append, "append"),
    FIELD_OF(ENUM, envoy_header_option, action, "appendAction", append_actions),
    FIELD(BOOL, envoy_header_option, keep_empty, "keepEmptyValue"),
    END_OF_FIELDS,
};
const struct message envoy_header_option_message = { sizeof(struct envoy_header_option), header_option_fields,
                                                     MESSAGE_FOREIGN, check_header_option };

const struct header_op *envoy_compile_headers(struct check *c, const struct envoy_header_option *v, size_t n)
{
    struct header_op *to = check_alloc(c, n, sizeof(*to));

    for (size_t i = 0; to && i < n; i++) {
        bool set = check_get(v[i].at, "append") ? !v[i].append : v[i].action != 0;

        if (!v[i].header)
            continue;
        to[i] = (struct header_op){ set ? HEADER_SET : HEADER_ADD, host_lower(c->arena, v[i].header->key),
                                    v[i].header->value };
        c->nomem = c->nomem || !to[i].name.p;
    }
    return to;
}
