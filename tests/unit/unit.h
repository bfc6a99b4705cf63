/* unit.h: what every Check program of ours shares. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>
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

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
