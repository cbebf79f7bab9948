/* config_values: from the words behind a name to a field of struct config. */
#ifndef ABIDE_COMMON_CONFIG_VALUES_H
#define ABIDE_COMMON_CONFIG_VALUES_H

#include <stddef.h>

struct config;
struct config_key;
struct err;

enum { CONFIG_WORDS_MAX = 32 };

struct config_words {
    const char *word[CONFIG_WORDS_MAX]; /* the name first */
    size_t n;
};

/* Reads the words of one line. -1: the field is as before; EX_CONFIG, or
 * EX_OSERR for out of memory. */
int config_value_set(struct config *, const struct config_key *, const struct config_words *, struct err *);

#endif
