/* The hosts file, read by us because the courier may open no file. */
#include <config.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "spooler/keeper/hostsfile.h"

enum { LINES = 100000, ADDRESSES = 1000 };

static bool wanted(const char *address, enum ip_family family)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, address, bytes) == 1)
        return family != IP_6;
    return family != IP_4 && inet_pton(AF_INET6, address, bytes) == 1;
}

static bool names(char *rest, const char *name)
{
    for (char *word; (word = strsep(&rest, " \t\r\n")) != NULL;)
        if (strcasecmp(word, name) == 0)
            return true;
    return false;
}

char *hostsfile_find(const char *name, enum ip_family family)
{
    struct buf found = BUF_INIT(ADDRESSES);
    FILE *f = fopen("/etc/hosts", "re");
    char line[1024];

    for (unsigned n = 0; f != NULL && n < LINES && fgets(line, sizeof line, f) != NULL; n++) {
        char *rest = line + strspn(line, " \t"), *address;

        rest[strcspn(rest, "#")] = '\0';
        address = strsep(&rest, " \t\r\n");
        if (rest == NULL || !wanted(address, family) || !names(rest, name))
            continue;
        if (found.len > 0)
            buf_char(&found, ' ');
        buf_str(&found, address);
    }
    if (f != NULL)
        fclose(f);
    if (found.len == 0 || !buf_ok(&found)) {
        buf_fini(&found);
        return NULL;
    }
    return found.data;
}
