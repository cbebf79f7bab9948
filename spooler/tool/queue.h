/* queue: the verb `abide queue`. */
#ifndef ABIDE_TOOL_QUEUE_H
#define ABIDE_TOOL_QUEUE_H

struct tool;

/* ARGV[0] is the verb. The exit status. */
int queue_run(const struct tool *, int argc, char **argv);

#endif
