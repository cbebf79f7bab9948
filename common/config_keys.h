/* config_keys: every name of abide.conf in one table: what it takes, where it
 * goes, its bounds, its default. */
#ifndef ABIDE_COMMON_CONFIG_KEYS_H
#define ABIDE_COMMON_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Says which function of config_values.c reads the words behind the name. */
enum config_type {
    CONFIG_RELAY, CONFIG_ROUTE, CONFIG_RESOLVER, CONFIG_SOURCE, CONFIG_NAME, CONFIG_ADDRESS, CONFIG_PATH, CONFIG_LOG,
    CONFIG_IP, CONFIG_LEVEL, CONFIG_FLAG, CONFIG_COUNT, CONFIG_BYTES, CONFIG_DURATION, CONFIG_SCHEDULE, CONFIG_TIMEOUT,
    CONFIG_LIMIT, CONFIG_TYPES
};

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;                      /* into struct config */
    int64_t min, max;                   /* of a number; durations in ms */
    bool repeats;                       /* once for each first word, not once in all */
    const char *fallback;               /* the default, as it would stand behind the name; '\n' between
                                           several lines; NULL: not set */
    const char *takes;                  /* for people, "HOST[:PORT]"; for CONFIG_FLAG the words for false and true */
    const char *meaning;
};

extern const struct config_key config_keys[];
extern const size_t config_keys_count;

const struct config_key *config_key_find(const char *name);     /* NULL: none */

/* The name that was probably meant, or NULL if none is near. */
const char *config_key_nearest(const char *name);

#endif
