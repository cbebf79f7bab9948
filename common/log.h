/* log: one line per fact. Message lines have Exim's main-log forms (<=, =>,
 * ->, ==, **, Completed) so that Exim's tools read them; others are key=value.
 * Bytes that are not printable are written as \ooo here, in one place, and a
 * line is cut at LOG_LINE_MAX: text from outside may be passed as it is. */
#ifndef ABIDE_COMMON_LOG_H
#define ABIDE_COMMON_LOG_H

#include "common/clock.h"
#include "common/err.h"

struct buf;
struct log;

enum level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };
enum { LOG_LINE_MAX = 4000 };

/* TARGET: "syslog", "stderr", or a file's absolute path (opened for appending,
 * mode 0640; opened again when it was renamed or removed, so that logrotate
 * needs no signal). A log that cannot be written never fails the caller: its
 * lines go to syslog until it can. NULL: none of the three, or no memory. A
 * file that cannot be opened now is told in *err too, but the log is there. */
struct log *log_open(const char *target, enum level, struct err *);
struct log *log_capture(struct buf *);  /* for tests; all levels, as a file has them; borrows the buffer */
void log_free(struct log *);

/* What time the next lines carry; until it is called each line asks the clock. At
 * each call a file is looked for anew: see log_open(). */
void log_time(struct log *, struct wall);

/* "STAMP TEXT", to syslog without the stamp; "error: " stands before the text
 * of LEVEL_ERROR. A null log swallows the line. */
void log_line(struct log *, enum level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
