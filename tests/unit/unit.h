/* unit.h: what every Check program of ours shares. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

/* main() of a test program with one suite. Under a sanitizer the build sets CK_FORK=no, so that leaks are seen. */
#define UNIT_MAIN(make_suite)                                                                                \
    int main(void)                                                                                           \
    {                                                                                                        \
        SRunner *sr = srunner_create(make_suite());                                                          \
        int failed;                                                                                          \
                                                                                                             \
        srunner_run_all(sr, CK_ENV);                                                                         \
        failed = srunner_ntests_failed(sr);                                                                  \
        srunner_free(sr);                                                                                    \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                                         \
    }

/* Check would write each assertion that holds to a file, to tell where a test was when it crashed: two calls to the
 * system each, half of the time of tests that compare much. A crash names its test; gdb and sanitizers know the line. */
#define _mark_point(file, line) ((void)0)

/* Sanitizers make everything some times slower: what is tried very often is tried less often. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SANITIZED true
#else
#define UNIT_SANITIZED false
#endif

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
