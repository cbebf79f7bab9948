/* submit: takes one message from stdin and makes it durable in the spool. */
#ifndef ABIDE_SENDMAIL_SUBMIT_H
#define ABIDE_SENDMAIL_SUBMIT_H

struct config;
struct err;
struct options;
struct privilege;

struct submit_facts {
    const struct options *opt;
    const struct privilege *privilege;
    const struct config *config;
    const char *config_file;
};

/* 0: it lies in new/, whole and synced. NOTE then has text if the caller
 * should know something all the same. -1: nothing was taken; stdin was read to
 * its end, and the class is the exit status. */
int submit(const struct submit_facts *, struct err *note, struct err *);

#endif
