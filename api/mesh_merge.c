/* mesh_merge.c: what is applied, together with what is stored already.
 *
 * A tree is never changed in place: `set_text` copies the nodes on the way to the new member, so that the parsed
 * document stays as it was written. */

#include "api/mesh-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <stdio.h>

enum { CLUSTER_ADDRESSES = 1 << 16 };

static const char cluster_net[] = "127.96.";

/* --- editing --- */

/* A copy of the map's array with room for one more member. */
static int copy_items(struct arena *a, struct yaml_node *map)
{
    struct yaml_node *items = arena_array(a, map->n + 1, sizeof(*items));

    if (!items)
        return ERR_NOMEM;
    if (map->n)
        memcpy(items, map->items, map->n * sizeof(*items));
    map->items = items;
    return 0;
}

/* root.section.key = text, in a copy of the tree. The section is there: every object has metadata. */
static int set_text(struct arena *a, struct mesh_object *o, const char *section, const char *key, struct str text)
{
    struct yaml_node *root = ARENA_NEW(a, struct yaml_node), *map;

    if (!root)
        return ERR_NOMEM;
    *root = *o->root;
    if (copy_items(a, root) < 0)
        return ERR_NOMEM;
    for (map = root->items; !str_eqz(map->key, section); map++)
        ;
    if (copy_items(a, map) < 0)
        return ERR_NOMEM;
    map->items[map->n++] = (struct yaml_node){ .kind = YAML_STRING, .text = text, .key = str_of(key) };
    o->root = root;
    return 0;
}

static struct str text_at(const struct mesh_object *o, const char *path)
{
    return o ? yaml_text(yaml_path(o->root, path)) : STR_NULL;
}

/* --- addresses of Services --- */

/* The last two bytes of an address of ours, or -1. */
static int address_number(struct str ip)
{
    struct str rest, high;
    uint64_t a, b;

    if (!str_starts(ip, str_of(cluster_net)))
        return -1;
    rest = str_from(ip, strlen(cluster_net));
    high = str_cut(&rest, '.');
    return num_u64(high, &a) && num_u64(rest, &b) && a < 256 && b < 256 ? (int)(a << 8 | b) : -1;
}

static void use_address(struct mesh_merge *m, struct str ip)
{
    int n = address_number(ip);

    if (n >= 0)
        m->used[n / 8] |= (uint8_t)(1 << n % 8);
}

/* The free address that comes next after a place made from the name: a Service that is deleted and made again is likely
 * to get the same one. Last bytes 0 and 255 are left out, as the host part is used in nets of 256 (docs/protocols.md). */
static struct str free_address(struct mesh_merge *m, const struct mesh_object *o)
{
    uint64_t start = str_hash_stable(o->name) ^ str_hash_stable(o->ns) * 31;

    for (uint64_t i = 0; i < CLUSTER_ADDRESSES; i++) {
        unsigned n = (unsigned)((start + i) % CLUSTER_ADDRESSES);

        if (n % 256 == 0 || n % 256 == 255 || m->used[n / 8] & 1 << n % 8)
            continue;
        m->used[n / 8] |= (uint8_t)(1 << n % 8);
        return arena_printf(m->arena, "%s%u.%u", cluster_net, n / 256, n % 256);
    }
    return STR_NULL;
}

/* --- merging --- */

static bool is_same(const struct mesh_object *o, struct catalog_key k)
{
    return str_eq(o->name, k.name) && str_eq(o->kind, k.kind) && str_eq(o->ns, k.ns);
}

static struct catalog_key key_of(const struct mesh_object *o)
{
    return (struct catalog_key){ o->kind, o->ns, o->name };
}

int mesh_merge_init(struct mesh_merge *m, struct arena *a, const struct catalog_document *documents, size_t n,
                    struct err *e)
{
    struct mesh_problems ignored; /* it was checked when it was applied */

    *m = (struct mesh_merge){ .arena = a, .documents = documents, .ndocuments = n };
    mesh_problems_init(&ignored, a);
    m->used = arena_zalloc(a, CLUSTER_ADDRESSES / 8);
    if (!m->used)
        return err_set(e, ERR_NOMEM, "no memory for the mesh");
    for (size_t i = 0; i < n; i++)
        if (mesh_kind_find(documents[i].key.kind) &&
            mesh_parse(a, STR("(stored)"), documents[i].body, documents[i].key.ns, &m->stored, &ignored) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the mesh");
    for (size_t i = 0; i < m->stored.n; i++)
        use_address(m, text_at(&m->stored.v[i], "spec.clusterIP"));
    return 0;
}

const struct catalog_document *mesh_merge_find(const struct mesh_merge *m, const struct mesh_object *o)
{
    for (size_t i = 0; i < m->ndocuments; i++)
        if (is_same(o, m->documents[i].key))
            return &m->documents[i];
    return NULL;
}

static const struct mesh_object *find_stored(const struct mesh_merge *m, const struct mesh_object *o)
{
    for (size_t i = 0; i < m->stored.n; i++)
        if (is_same(o, key_of(&m->stored.v[i])))
            return &m->stored.v[i];
    return NULL;
}

static int complete_service(struct mesh_merge *m, struct mesh_object *o, const struct mesh_object *old, struct err *e)
{
    struct str ip = text_at(o, "spec.clusterIP");

    if (!str_eqz(o->kind, "Service") || !yaml_get(o->root, "spec") || yaml_get(o->root, "spec")->kind != YAML_MAP)
        return 0;
    if (ip.n) {
        use_address(m, ip);
        return 0;
    }
    if (yaml_path(o->root, "spec.externalName"))
        return 0;
    ip = text_at(old, "spec.clusterIP");
    if (!ip.n)
        ip = free_address(m, o);
    if (!ip.n)
        return err_set(e, ERR_LIMIT, "no address of %s0.0/16 is left for Service %.*s/%.*s", cluster_net,
                       STR_ARG(o->ns), STR_ARG(o->name));
    return set_text(m->arena, o, "spec", "clusterIP", ip) < 0 ? err_set(e, ERR_NOMEM, "no memory for a Service") : 0;
}

static int complete_metadata(struct mesh_merge *m, struct mesh_object *o, const struct mesh_object *old, struct err *e)
{
    struct str created = text_at(old, "metadata.creationTimestamp");
    int64_t now_s = clock_now_ms() / 1000;
    char text[CLOCK_TEXT];
    int rc = 0;

    if (o->ns.n && !text_at(o, "metadata.namespace").n)
        rc = set_text(m->arena, o, "metadata", "namespace", o->ns);
    if (rc == 0 && o->created_ms == 0) {
        clock_rfc3339(text, now_s * 1000000000);
        if (!created.n)
            created = arena_str(m->arena, str_of(text));
        o->created_ms = old ? old->created_ms : now_s * 1000;
        rc = created.p ? set_text(m->arena, o, "metadata", "creationTimestamp", created) : ERR_NOMEM;
    }
    return rc < 0 ? err_set(e, ERR_NOMEM, "no memory for an object") : 0;
}

int mesh_merge_complete(struct mesh_merge *m, struct mesh_object *o, struct err *e)
{
    const struct mesh_object *old = find_stored(m, o);
    int rc = complete_metadata(m, o, old, e);

    return rc < 0 ? rc : complete_service(m, o, old, e);
}

static bool is_among(const struct mesh_objects *objects, const struct mesh_object *o)
{
    for (size_t i = 0; i < objects->n; i++)
        if (is_same(o, key_of(&objects->v[i])))
            return true;
    return false;
}

int mesh_merge_all(struct mesh_merge *m, const struct mesh_objects *objects, bool removes, struct mesh_objects *out,
                   struct err *e)
{
    *out = (struct mesh_objects){ 0 };
    if (arena_grow(m->arena, &out->v, &out->cap, m->stored.n + objects->n + 1, sizeof(*out->v)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for the mesh");
    for (size_t i = 0; i < m->stored.n; i++)
        if (!is_among(objects, &m->stored.v[i]))
            out->v[out->n++] = m->stored.v[i];
    for (size_t i = 0; !removes && i < objects->n; i++)
        out->v[out->n++] = objects->v[i];
    return 0;
}
