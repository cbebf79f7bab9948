/* tool: what the verbs of `abide` share. */
#ifndef ABIDE_TOOL_TOOL_H
#define ABIDE_TOOL_TOOL_H

#include <stddef.h>

struct config;
struct err;

/* Statuses beyond sysexits(3). */
enum { TOOL_DONE = 0, TOOL_NOTHING = 1 };

struct tool {
    const struct config *config;
    const char *caller;                 /* who asks: a login name */
};

/* "abide: TEXT" on stderr, one line. */
void tool_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same of an error; returns its class, the exit status. */
int tool_fail(const struct err *);

/* Text for a terminal: what is no printable UTF-8 is '?'. Returns OUT. */
const char *tool_clean(const char *text, char *out, size_t size);

/* Ends a verb that printed: STATUS, or EX_IOERR when stdout did not take it all. */
int tool_end(int status);

#endif
