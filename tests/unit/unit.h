/* unit: the frame of a unit test. tests/unit/t_X.c defines unit_suite() and its cases; main() is here.
 * Each case becomes one line of TAP. Run by hand, CK_RUN_CASE=name picks one, CK_FORK=no is for the debugger. */
#ifndef ABIDE_TESTS_UNIT_UNIT_H
#define ABIDE_TESTS_UNIT_UNIT_H

#include <check.h>

/* Number of elements of an array: for tcase_add_loop_test(tc, fn, 0, LENGTH(cases)). */
#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Supplied by the test: its suite, to be freed by the runner. */
Suite *unit_suite(void);

#endif
