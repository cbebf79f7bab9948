/* config_keys: the table of names. It is the only place where a name, a bound
 * or a default is written; abide.conf(5) repeats it for people. Read by the
 * parser and by whatever prints settings. */
#include <config.h>

#include "common/config_keys.h"

#include <string.h>

#include "common/config.h"
#include "common/envelope.h"

#define AT(member) offsetof(struct config, member)
#define SECONDS(n) (INT64_C(1000) * (n))
#define DAYS(n) SECONDS(INT64_C(86400) * (n))

const struct config_key config_keys[] = {
    /* where to */
    { "relay", CONFIG_RELAY, AT(relay_host), 1, 65535, false, NULL, "HOST[:PORT]",
        "all mail goes through this host; without it, straight to the MX hosts of each recipient" },
    { "route", CONFIG_ROUTE, AT(route), 1, 65535, true, NULL, "DOMAIN HOST[:PORT]",
        "mail for one domain goes to this host; *.DOMAIN means all below it" },
    { "resolver", CONFIG_RESOLVER, AT(resolver), 1, 65535, false, NULL, "ADDRESS[:PORT]",
        "the DNS server to ask, instead of those of /etc/resolv.conf" },
    { "mx_port", CONFIG_COUNT, AT(mx_port), 1, 65535, false, "25", "PORT", "the port of MX hosts" },
    { "ip", CONFIG_IP, AT(ip), 0, 0, false, "both", "both|4|6", "the address families to connect by" },
    { "source", CONFIG_SOURCE, AT(source), 0, 0, true, NULL, "ADDRESS", "a local address to connect from" },
    /* who */
    { "hostname", CONFIG_NAME, AT(hostname), 0, 0, false, NULL, "NAME", "what this machine calls itself" },
    { "domain", CONFIG_NAME, AT(domain), 0, 0, false, NULL, "NAME", "completes addresses that have no domain" },
    { "root", CONFIG_ADDRESS, AT(root), 0, 0, false, NULL, "ADDRESS", "who gets the mail of local users" },
    /* submission */
    { "spool", CONFIG_PATH, AT(spool), 0, 0, false, ABIDE_SPOOL_DIR, "DIRECTORY", "where mail waits" },
    { "spooler", CONFIG_FLAG, AT(spooler_auto), 0, 0, false, "auto", "off|auto",
        "whether sendmail starts a spooler when none runs" },
    { "max_size", CONFIG_BYTES, AT(max_size), 0, INT64_C(1) << 40, false, "50M", "SIZE", "the largest message; 0: no limit" },
    { "max_recipients", CONFIG_COUNT, AT(max_recipients), 1, ENVELOPE_RCPT_MAX, false, "50000", "NUMBER",
        "the most recipients of one message" },
    { "min_free", CONFIG_BYTES, AT(min_free), 0, INT64_C(1) << 50, false, "10M", "SIZE",
        "nothing is accepted while the disk has less free than this" },
    /* waiting */
    { "schedule", CONFIG_SCHEDULE, AT(schedule_ms), SECONDS(1), DAYS(7), false, "5m 15m 60m 2h 4h", "TIME...",
        "the waits between the attempts; the last one repeats" },
    { "lifetime", CONFIG_DURATION, AT(lifetime_ms), SECONDS(1), DAYS(60), false, "3d", "TIME",
        "when a message that cannot be delivered is returned" },
    { "warn_after", CONFIG_DURATION, AT(warn_after_ms), 0, DAYS(60), false, "4h", "TIME",
        "when the sender is told that his message waits; 0: never" },
    { "limit", CONFIG_LIMIT, AT(limit), 1, 1000000, true, NULL, "SITE [connections=N] [messages=N] [recipients=N] [rate=N/m]",
        "the most a destination is given" },
    { "timeout", CONFIG_TIMEOUT, AT(timeout_ms), SECONDS(1), SECONDS(3600), true,
        "dns 30s\nconnect 30s\nbanner 5m\nehlo 5m\nmail 5m\nrcpt 5m\ndata 2m\nbody 3m\neom 10m\nidle 10s\nquit 10s", "PHASE TIME",
        "how long a server is waited for (RFC 5321 4.5.3.2)" },
    { "queue_run", CONFIG_DURATION, AT(queue_run_ms), SECONDS(1), DAYS(1), false, "60s", "TIME",
        "how often the spooler looks for new mail without being told" },
    /* telling */
    { "log", CONFIG_LOG, AT(log), 0, 0, false, "syslog", "syslog|stderr|FILE", "where the log goes" },
    { "log_level", CONFIG_LEVEL, AT(log_level), 0, 0, false, "info", "error|warn|info|debug", "how much is logged" },
    { "bounce_body", CONFIG_FLAG, AT(bounce_whole), 0, 0, false, "headers", "headers|whole",
        "how much of a message its bounce returns" },
};
const size_t config_keys_count = sizeof(config_keys) / sizeof(config_keys[0]);

const struct config_key *config_key_find(const char *name)
{
    for (size_t i = 0; i < config_keys_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

/* ---- the nearest name -------------------------------------------------- */

enum { NAME_MAX_LEN = 32, FAR = 99 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that make A into
 * B (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
    unsigned d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
        return FAR;
    for (size_t i = 0; i <= la; i++) {
        for (size_t j = 0; j <= lb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[la][lb];
}

const char *config_key_nearest(const char *name)
{
    unsigned best = FAR, max = strlen(name) < 6 ? 1 : 2;
    const char *nearest = NULL;

    for (size_t i = 0; i < config_keys_count; i++) {
        unsigned d = distance(name, config_keys[i].name);

        if (d < best) {
            best = d;
            nearest = config_keys[i].name;
        }
    }
    return best <= max ? nearest : NULL;
}
