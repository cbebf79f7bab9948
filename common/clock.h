/* clock: the only reader of clocks. Wall time names files and goes into logs;
 * the boot clock (it runs on while the machine sleeps) measures gaps and ages.
 * Both are distinct types, so that mixing them does not compile. */
#ifndef ABIDE_COMMON_CLOCK_H
#define ABIDE_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct wall { int64_t ms; };            /* since 1970-01-01 UTC */
struct mono { int64_t ms; };            /* since the machine started */
struct now { struct wall wall; struct mono mono; };

enum { CLOCK_BOOT_SIZE = 9, CLOCK_STAMP_SIZE = 20, CLOCK_DATE_SIZE = 40 };
#define CLOCK_NEVER INT64_MAX           /* a deadline that never comes, in ms */

struct now clock_now(void);

/* Eight hexadecimal digits that name this boot of the machine, or "-" where
 * the kernel does not tell. */
void clock_boot(char out[CLOCK_BOOT_SIZE]);

/* "2026-11-21 02:19:09", local time, as Exim's main log has it. */
void clock_stamp(struct wall, char out[CLOCK_STAMP_SIZE]);

/* "Sat, 21 Nov 2026 02:19:09 +0000" (RFC 5322 3.3), local time with its zone. */
void clock_date(struct wall, char out[CLOCK_DATE_SIZE]);

#endif
