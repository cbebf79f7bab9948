/* list: the queue for people. */
#ifndef ABIDE_TOOL_LIST_H
#define ABIDE_TOOL_LIST_H

#include <stddef.h>

struct spool;
struct what;

/* Prints all that waits, or what is meant. The exit status. */
int list_run(struct spool *, struct what *, size_t nwhat);

#endif
