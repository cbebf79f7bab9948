/* provider: the big receivers as data: by which MX hosts one knows them, how
 * they like to be treated. Pure. For route (names sites), site (limits). */
#ifndef ABIDE_POLICY_PROVIDER_H
#define ABIDE_POLICY_PROVIDER_H

struct provider {
    const char *name;                   /* also the site's name: no dot in it */
    const char *hosts;                  /* MX hosts, separated by blanks: ".suffix", a whole name, or one with a "*" */
    unsigned connections;
    unsigned messages;                  /* per connection; 0: as anybody */
    unsigned burst;                     /* messages at once before we know better; 0: as anybody */
    unsigned rate_per_minute;           /* the same, later; 0: as anybody */
};

/* The provider whose host this is (lower case, no trailing dot), or NULL. */
const struct provider *provider_of_host(const char *host);
const struct provider *provider_by_name(const char *name);

#endif
