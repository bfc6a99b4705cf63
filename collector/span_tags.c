#include "collector/span_tags.h"

void span_tags_identity(struct labels tags, union event_value *columns)
{
    static const struct {
        struct str tag;
        enum event_span_column column;
    } known[] = {
        { STR_INIT("k8s.pod.name"), SPAN_pod },
        { STR_INIT("k8s.namespace.name"), SPAN_namespace },
        { STR_INIT("k8s.deployment.name"), SPAN_workload },
        { STR_INIT("service.version"), SPAN_version },
        { STR_INIT("istio.namespace"), SPAN_namespace },
        { STR_INIT("istio.canonical_service"), SPAN_app },
        { STR_INIT("istio.canonical_revision"), SPAN_version },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        for (size_t k = 0; k < tags.n; k++)
            if (str_eq(tags.v[k].name, known[i].tag) && columns[known[i].column].s.n == 0)
                columns[known[i].column].s = tags.v[k].value;
}

void span_tags_status(struct labels tags, bool any_error, union event_value *columns)
{
    enum { STATUS_OK = 1, STATUS_ERROR = 2 };

    for (size_t i = 0; i < tags.n; i++) {
        struct str name = tags.v[i].name, value = tags.v[i].value;

        if (str_eqz(name, "error") && (any_error || str_eqz(value, "true"))) {
            columns[SPAN_status].i = STATUS_ERROR;
            if (!str_eqz(value, "true"))
                columns[SPAN_status_message].s = value;
        } else if (str_eqz(name, "otel.status_code") && columns[SPAN_status].i == 0) {
            columns[SPAN_status].i = str_eqz(value, "OK") ? STATUS_OK : str_eqz(value, "ERROR") ? STATUS_ERROR : 0;
        } else if (str_eqz(name, "otel.status_description")) {
            columns[SPAN_status_message].s = value;
        }
    }
}
