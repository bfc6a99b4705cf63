/* kinds.c: the kinds and API groups that are known, by all their names. */
#include "mesh/kinds-internal.h"

#define ISTIO_NETWORKING "networking.istio.io"
#define ISTIO_SECURITY   "security.istio.io"
#define ISTIO_TELEMETRY  "telemetry.istio.io"
#define ISTIO_EXTENSIONS "extensions.istio.io"

const struct mesh_kind mesh_kinds[] = {
    { "VirtualService", "virtualservices", "vs", ISTIO_NETWORKING, true },
    { "DestinationRule", "destinationrules", "dr", ISTIO_NETWORKING, true },
    { "Gateway", "gateways", "gw", ISTIO_NETWORKING, true },
    { "ServiceEntry", "serviceentries", "se", ISTIO_NETWORKING, true },
    { "WorkloadEntry", "workloadentries", "we", ISTIO_NETWORKING, true },
    { "WorkloadGroup", "workloadgroups", "wg", ISTIO_NETWORKING, true },
    { "Sidecar", "sidecars", NULL, ISTIO_NETWORKING, true },
    { "EnvoyFilter", "envoyfilters", NULL, ISTIO_NETWORKING, true },
    { "ProxyConfig", "proxyconfigs", NULL, ISTIO_NETWORKING, true },
    { "PeerAuthentication", "peerauthentications", "pa", ISTIO_SECURITY, true },
    { "RequestAuthentication", "requestauthentications", "ra", ISTIO_SECURITY, true },
    { "AuthorizationPolicy", "authorizationpolicies", "ap", ISTIO_SECURITY, true },
    { "Telemetry", "telemetries", NULL, ISTIO_TELEMETRY, true },
    { "WasmPlugin", "wasmplugins", NULL, ISTIO_EXTENSIONS, true },
    { "Namespace", "namespaces", "ns", "", false },
    { "Node", "nodes", "no", "", false },
    { "PersistentVolume", "persistentvolumes", "pv", "", false },
    { "Pod", "pods", "po", "", true },
    { "Service", "services", "svc", "", true },
    { "Endpoints", "endpoints", "ep", "", true },
    { "ConfigMap", "configmaps", "cm", "", true },
    { "Secret", "secrets", NULL, "", true },
    { "ServiceAccount", "serviceaccounts", "sa", "", true },
    { "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "", true },
    { "ReplicationController", "replicationcontrollers", "rc", "", true },
    { "ResourceQuota", "resourcequotas", "quota", "", true },
    { "LimitRange", "limitranges", "limits", "", true },
    { "Event", "events", "ev", "", true },
    { "Deployment", "deployments", "deploy", "apps", true },
    { "ReplicaSet", "replicasets", "rs", "apps", true },
    { "StatefulSet", "statefulsets", "sts", "apps", true },
    { "DaemonSet", "daemonsets", "ds", "apps", true },
    { "Job", "jobs", NULL, "batch", true },
    { "CronJob", "cronjobs", "cj", "batch", true },
    { "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "autoscaling", true },
    { "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "policy", true },
    { "Ingress", "ingresses", "ing", "networking.k8s.io", true },
    { "IngressClass", "ingressclasses", NULL, "networking.k8s.io", false },
    { "NetworkPolicy", "networkpolicies", "netpol", "networking.k8s.io", true },
    { "EndpointSlice", "endpointslices", NULL, "discovery.k8s.io", true },
    { "Role", "roles", NULL, "rbac.authorization.k8s.io", true },
    { "RoleBinding", "rolebindings", NULL, "rbac.authorization.k8s.io", true },
    { "ClusterRole", "clusterroles", NULL, "rbac.authorization.k8s.io", false },
    { "ClusterRoleBinding", "clusterrolebindings", NULL, "rbac.authorization.k8s.io", false },
    { NULL, NULL, NULL, NULL, false },
};

static const struct {
    const char *group;
    const char *versions[4];
    const char *text;
} groups[] = {
    { "", { "v1" }, "v1" },
    { "apps", { "v1" }, "apps/v1" },
    { "batch", { "v1" }, "batch/v1" },
    { "autoscaling", { "v1", "v2" }, "autoscaling/v1 or v2" },
    { "policy", { "v1" }, "policy/v1" },
    { "networking.k8s.io", { "v1" }, "networking.k8s.io/v1" },
    { "discovery.k8s.io", { "v1" }, "discovery.k8s.io/v1" },
    { "rbac.authorization.k8s.io", { "v1" }, "rbac.authorization.k8s.io/v1" },
    { ISTIO_NETWORKING, { "v1", "v1beta1", "v1alpha3" }, ISTIO_NETWORKING "/v1, v1beta1 or v1alpha3" },
    { ISTIO_SECURITY, { "v1", "v1beta1" }, ISTIO_SECURITY "/v1 or v1beta1" },
    { ISTIO_TELEMETRY, { "v1", "v1alpha1" }, ISTIO_TELEMETRY "/v1 or v1alpha1" },
    { ISTIO_EXTENSIONS, { "v1alpha1" }, ISTIO_EXTENSIONS "/v1alpha1" },
};

enum { NGROUPS = sizeof(groups) / sizeof(groups[0]), LONGEST_WORD = 64 };

static int group_index(struct str group)
{
    for (int i = 0; i < NGROUPS; i++)
        if (str_eqz(group, groups[i].group))
            return i;
    return -1;
}

struct str api_group(struct str api_version)
{
    ptrdiff_t at = str_chr(api_version, '/');

    return at < 0 ? STR("") : (struct str){ api_version.p, (size_t)at };
}

bool api_group_known(struct str group)
{
    return group_index(group) >= 0;
}

const char *api_versions_text(struct str group)
{
    int i = group_index(group);

    return i < 0 ? NULL : groups[i].text;
}

bool api_version_known(struct str api_version)
{
    struct str group = api_group(api_version);
    struct str version = group.n ? str_from(api_version, group.n + 1) : api_version;
    int i = group_index(group);

    for (int k = 0; i >= 0 && k < 4 && groups[i].versions[k]; k++)
        if (str_eqz(version, groups[i].versions[k]))
            return true;
    return false;
}

const char *api_group_near(struct str group)
{
    for (int i = 0; i < NGROUPS; i++)
        if (groups[i].group[0] && word_near(group, str_of(groups[i].group)))
            return groups[i].group;
    return NULL;
}

const struct mesh_kind *kind_find_in(struct str group, struct str kind)
{
    for (const struct mesh_kind *k = mesh_kinds; k->kind; k++)
        if (str_eqz(group, k->group) && str_eqz(kind, k->kind))
            return k;
    return NULL;
}

const struct mesh_kind *kind_find_exact(struct str kind)
{
    for (const struct mesh_kind *k = mesh_kinds; k->kind; k++)
        if (str_eqz(kind, k->kind))
            return k;
    return NULL;
}

const char *kind_near(struct str group, struct str kind)
{
    for (const struct mesh_kind *k = mesh_kinds; k->kind; k++)
        if (str_eqz(group, k->group) && word_near(kind, str_of(k->kind)))
            return k->kind;
    return NULL;
}

const struct mesh_kind *mesh_kind_find(struct str word)
{
    for (const struct mesh_kind *k = mesh_kinds; k->kind; k++)
        if (str_ieq(word, str_of(k->kind)) || str_ieq(word, str_of(k->plural)) ||
            (k->short_name && str_ieq(word, str_of(k->short_name))))
            return k;
    return NULL;
}

/* Damerau's distance, where two neighbours that changed places count as one slip. Both at most LONGEST_WORD long. */
static size_t distance(struct str a, struct str b)
{
    size_t row[3][LONGEST_WORD + 1];

    for (size_t j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *now = row[i % 3];
        const size_t *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a.n % 3][b.n];
}

bool word_near(struct str word, struct str wanted)
{
    size_t slips = wanted.n < 3 ? 0 : wanted.n < 6 ? 1 : 2;

    if (str_ieq(word, wanted))
        return true;
    if (word.n > LONGEST_WORD || wanted.n > LONGEST_WORD || word.n + slips < wanted.n || wanted.n + slips < word.n)
        return false;
    return distance(word, wanted) <= slips;
}
