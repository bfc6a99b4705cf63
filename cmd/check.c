/* check.c: vigla check: verifies a data directory. */
#include "cmd/command-internal.h"
#include "store/check.h"

#include <stdio.h>

static void print_fault(void *arg, const char *text)
{
    (void)arg;
    printf("fault: %s\n", text);
}

static int run(struct session *s, int argc, char **argv)
{
    struct store_check c = { .fault = print_fault };
    const struct option options[] = {
        { "rebuild", 0, OPTION_FLAG, NULL, "when all is well, make anew indexes and the log of series", &c.rebuild },
    };
    struct err e = ERR_INIT;
    int rc = command_options(s, &command_check, options, 1,
                             "Reads everything and compares checksums, counts and references; faults are named, one line each.\n"
                             "The server must be stopped. It serves what is not damaged, and so does it afterwards.\n",
                             &argc, argv);

    if (rc >= 0)
        return rc;
    if (argc != 2)
        return command_usage("check: say which directory: vigla check DIR");
    rc = store_check(argv[1], &c, &e);
    if (rc < 0)
        return command_fail(EXIT_FAILED, &e);
    printf("%llu series, %llu samples in %llu blocks (%llu pages), %llu samples in the journal; "
           "%llu rows in %llu blocks, %llu rows in the journal; %llu days: %s\n",
           (unsigned long long)c.series, (unsigned long long)c.samples, (unsigned long long)c.blocks,
           (unsigned long long)c.pages, (unsigned long long)c.journal_samples, (unsigned long long)c.rows,
           (unsigned long long)c.row_blocks, (unsigned long long)c.journal_rows, (unsigned long long)c.partitions,
           c.faults ? "DAMAGED" : "all well");
    return c.faults ? EXIT_FAILED : EXIT_WELL;
}

const struct command command_check = { "check", "DIR", "verify a data directory", run };
