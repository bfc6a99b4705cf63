#include "cmd/images-internal.h"

#include "base/file.h"
#include "base/yaml.h"

enum { MOST_BYTES = 1 << 20 };

static int place(const char *path, const struct yaml_node *node, const char *what, struct err *e)
{
    return err_set(e, ERR_INVALID, "%s:%d: %.*s: %s", path, node->line, STR_ARG(node->key), what);
}

static int read_image(struct images *im, const char *path, const struct yaml_node *node, struct err *e)
{
    const struct yaml_node *command = yaml_get(node, "command"), *gateway = yaml_get(node, "gateway");
    struct image *image = &im->v[im->n];
    struct str *words;

    *image = (struct image){ .name = node->key, .gateway = gateway && gateway->boolean };
    if (image->gateway == !!command)
        return place(path, node, "should have `command: [word, ...]` or `gateway: true`", e);
    im->n++;
    if (!command)
        return 0;
    if (command->kind != YAML_LIST || command->n == 0)
        return place(path, command, "should be a list of words", e);
    words = arena_array(&im->arena, command->n, sizeof(*words));
    if (!words)
        return err_set(e, ERR_NOMEM, "%s: no memory", path);
    for (size_t i = 0; i < command->n; i++)
        words[i] = yaml_text(&command->items[i]);
    image->words = words;
    image->n = command->n;
    return 0;
}

static int read_map(struct images *im, const char *path, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *map = yaml_get(root, "images");
    int rc = 0;

    if (!map || map->kind != YAML_MAP)
        return err_set(e, ERR_INVALID, "%s:1: should start with `images:` and have a member for each image", path);
    im->v = arena_array(&im->arena, map->n ? map->n : 1, sizeof(*im->v));
    if (!im->v)
        return err_set(e, ERR_NOMEM, "%s: no memory", path);
    for (size_t i = 0; rc == 0 && i < map->n; i++)
        rc = read_image(im, path, &map->items[i], e);
    return rc;
}

int images_read(struct images *im, const char *path, struct err *e)
{
    struct buf text = BUF_INIT(MOST_BYTES);
    const struct yaml_node *root = NULL;
    int rc = file_read(path, &text, e);

    if (rc == 0)
        rc = yaml_read_one(&im->arena, path, buf_view(&text), &root, e);
    if (rc == 0 && !root)
        rc = err_set(e, ERR_PARSE, "%s: empty, should be one document", path);
    buf_free(&text);
    return rc == 0 ? read_map(im, path, root, e) : rc;
}

const struct image *images_find(const struct images *im, struct str name)
{
    const struct image *any_tag = NULL;

    for (size_t i = 0; i < im->n; i++) {
        struct str known = im->v[i].name;

        if (str_eq(known, name))
            return &im->v[i];
        if (str_starts(name, known) && name.p[known.n] == ':')
            any_tag = &im->v[i];
    }
    return any_tag;
}

void images_free(struct images *im)
{
    arena_free(&im->arena);
    *im = (struct images)IMAGES_INIT;
}
