#include "mesh/yaml.h"

#include "mesh/problem-internal.h"

struct place {
    struct mesh_problems *problems;
    struct str file;
};

static int tell(void *arg, int line, int column, const char *message)
{
    const struct place *at = arg;
    struct mesh_problem problem = { .severity = MESH_ERROR, .file = at->file, .line = line, .column = column };

    return problem_add(at->problems, &problem, "%s", message);
}

int mesh_yaml_read(struct arena *a, struct str file, struct str text, struct yaml_documents *out,
                   struct mesh_problems *p)
{
    struct place at = { p, file };

    return yaml_read(a, text, out, &(struct yaml_errors){ tell, &at });
}
