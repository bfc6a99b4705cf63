/* analyze.c: vigla analyze: what is wrong with files, without a server. */
#include "cmd/command-internal.h"
#include "cmd/source-internal.h"
#include "mesh/mesh.h"

static int analyze(const struct sources *list, const char *ns, size_t *errors, struct err *e)
{
    struct arena arena = ARENA_INIT(256 << 20);
    struct mesh_objects objects = { 0 };
    struct mesh_problems problems;
    struct buf line = BUF_INIT(1 << 20);
    int rc = 0;

    mesh_problems_init(&problems, &arena);
    for (size_t i = 0; rc == 0 && i < list->n; i++)
        rc = mesh_parse(&arena, str_of(list->v[i].name), list->v[i].text, str_of(ns), &objects, &problems);
    if (rc == 0 && !mesh_build(&arena, &objects, &problems, e) && problems.errors == 0)
        rc = ERR_NOMEM;
    for (size_t i = 0; i < problems.n; i++)
        mesh_problem_print(&line, &problems.v[i]);
    fwrite(line.p, 1, line.n, stdout);
    *errors = problems.errors;
    if (rc == 0)
        fprintf(stderr, "%zu objects, %zu errors, %zu other remarks\n", objects.n, problems.errors,
                problems.n > problems.errors ? problems.n - problems.errors : 0);
    else if (e->code == 0)
        err_set(e, rc, "analyze: no memory");
    buf_free(&line);
    arena_free(&arena);
    return rc;
}

static int run(struct session *s, int argc, char **argv)
{
    struct option_list files = { .n = 0 };
    const struct option options[] = {
        { "filename", 'f', OPTION_LIST, "FILE|DIR|-", "as an argument", &files },
    };
    struct sources list = SOURCES_INIT;
    struct err e = ERR_INIT;
    size_t errors = 0;
    int rc = command_options(s, &command_analyze, options, 1, NULL, &argc, argv);

    if (rc >= 0)
        return rc;
    for (int i = 1; i < argc && files.n < OPTION_LIST_MAX; i++)
        files.v[files.n++] = argv[i];
    if (files.n == 0)
        return command_usage("analyze: say which files: vigla analyze FILE|DIR|-...");
    rc = sources_read(&list, &files, &e);
    if (rc == 0)
        rc = analyze(&list, s->ns ? s->ns : "default", &errors, &e);
    sources_free(&list);
    if (rc < 0)
        return command_fail(EXIT_FAILED, &e);
    return errors ? EXIT_FAILED : EXIT_WELL;
}

const struct command command_analyze = { "analyze", "FILE|DIR|-...", "say what is wrong with files, without a server", run };
