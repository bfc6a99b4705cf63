#include "mesh/locality-internal.h"

#include "base/labels.h"

static const struct str region_key = STR_INIT("topology.kubernetes.io/region");
static const struct str zone_key = STR_INIT("topology.kubernetes.io/zone");
static const struct str subzone_key = STR_INIT("topology.istio.io/subzone");
static const struct str whole_key = STR_INIT("istio-locality");

static void split(struct workload *w, struct str text, char sep)
{
    w->region = str_cut(&text, sep);
    w->zone = str_cut(&text, sep);
    w->subzone = text;
}

void locality_parse(struct workload *w, struct str text)
{
    split(w, text, '/');
}

void locality_of_labels(struct workload *w, struct labels l)
{
    struct str whole = labels_get(l, whole_key);

    if (whole.n) {
        split(w, whole, str_chr(whole, '/') < 0 ? '.' : '/');
        return;
    }
    if (!labels_get(l, region_key).n && !labels_get(l, zone_key).n)
        return;
    w->region = labels_get(l, region_key);
    w->zone = labels_get(l, zone_key);
    w->subzone = labels_get(l, subzone_key);
}

struct str locality_label(const struct workload *w, struct labels l, struct str key)
{
    return str_eq(key, region_key)    ? w->region
           : str_eq(key, zone_key)    ? w->zone
           : str_eq(key, subzone_key) ? w->subzone
                                      : labels_get(l, key);
}

/* A pattern that ends stands for all below, as one that ends in "*" does. */
bool locality_within(struct str place, struct str pattern)
{
    while (pattern.p) {
        struct str want = str_cut(&pattern, '/'), part;

        if (str_eqz(want, "*"))
            return true;
        part = place.p ? str_cut(&place, '/') : STR_NULL;
        if (!str_eq(part, want))
            return false;
    }
    return true;
}

bool locality_matches(const struct workload *w, struct str pattern)
{
    const struct str parts[] = { w->region, w->zone, w->subzone };

    for (size_t i = 0; i < 3 && pattern.p; i++) {
        struct str want = str_cut(&pattern, '/');

        if (str_eqz(want, "*"))
            return true;
        if (!str_eq(parts[i], want))
            return false;
    }
    return !pattern.p || str_eqz(pattern, "*");
}
