/* provider: the table of big receivers. Connections are what is advised or
 * published, whichever is gentler; messages per connection as published.
 * Data only; it must never hold what was learned (that is site's). Called by
 * route and site. */
#include <config.h>

#include "spooler/policy/provider.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* More special suffixes stand before those that hold them. */
static const struct provider providers[] = {
    { "google-relay", "smtp-relay.gmail.com smtp.gmail.com", 5, 0, 0, 0 },
    { "google", ".google.com .googlemail.com", 20, 100, 0, 0 },
    { "m365-relay", "smtp.office365.com", 3, 0, 0, 30 },
    { "outlook", ".olc.protection.outlook.com", 10, 50, 0, 0 },
    { "m365", ".mail.protection.outlook.com .mx.microsoft", 10, 50, 0, 0 },
    { "yahoo", ".yahoodns.net", 5, 20, 60, 60 },
    { "yahoo-jp", ".yahoo.co.jp", 2, 20, 60, 60 },
    { "icloud", ".icloud.com", 5, 5, 0, 0 },
    { "comcast", ".comcast.net", 5, 1000, 0, 0 },
    { "cox", ".cox.net", 5, 100, 0, 0 },
    { "charter", ".charter.net .rr.com .twc.com .spectrum.net .cloudfilter.net", 5, 0, 0, 0 },
    { "orange", ".orange.fr .wanadoo.fr", 2, 100, 0, 0 },
    { "laposte", ".laposte.net", 5, 0, 0, 0 },
    { "sfr", ".sfr.fr", 5, 0, 0, 0 },
    { "free", "mx*.free.fr", 5, 0, 0, 0 },
    { "mimecast", ".mimecast.com .mimecast.co.za .mimecast-offshore.com", 5, 100, 0, 0 },
    { "gmx", ".gmx.net .gmx.com .web.de .mail.com", 4, 20, 0, 0 },
    { "barracuda", ".barracudanetworks.com", 5, 15, 0, 0 },
    { "proofpoint", ".pphosted.com .ppe-hosted.com", 5, 0, 0, 0 },
    { "netvigator", ".netvigator.com", 5, 10, 0, 0 },
    { "kpn", ".kpnmail.nl", 5, 10, 0, 0 },
    { "qq", ".qq.com", 4, 8, 0, 0 },
    { "netease", ".netease.com", 4, 7, 0, 0 },
    { "sina", ".sina.com.cn", 5, 3, 0, 0 },
    { "sohu", ".sohu.com", 5, 3, 0, 0 },
    { "att", ".att.net .prodigy.net", 5, 0, 0, 0 },
    { "tiscali-uk", ".tiscali.co.uk", 5, 0, 0, 0 },
    { "bigpond", ".bigpond.com .telstra.com", 5, 0, 0, 0 },
    { "docomo", ".docomo.ne.jp", 5, 0, 0, 0 },
    { "kddi", ".au.com .ezweb.ne.jp", 5, 0, 0, 0 },
    { "godaddy", ".secureserver.net", 5, 0, 0, 0 },
    { "ionos", ".kundenserver.de .ionos.com .1and1.com", 5, 0, 0, 0 },
    { "t-online", "mx*.t-online.de", 5, 0, 0, 0 },
    { "libero", ".libero.it .iol.local", 5, 0, 0, 0 },
    { "yandex", ".yandex.ru .yandex.net", 5, 0, 0, 0 },
    { "mailru", ".mail.ru", 5, 0, 0, 0 },
    { "rambler", ".rambler.ru", 5, 0, 0, 0 },
    { "messagelabs", ".messagelabs.com", 5, 0, 0, 0 },
    { "trendmicro", ".tmes.trendmicro.com .hes.trendmicro.com", 5, 0, 0, 0 },
    { "cisco-esa", ".iphmx.com", 5, 0, 0, 0 },
    { "fastmail", ".messagingengine.com", 5, 0, 0, 0 },
    { "zoho", ".zoho.com .zoho.eu", 5, 0, 0, 0 },
    { "rackspace", ".emailsrvr.com", 5, 0, 0, 0 },
    { "cloudflare", ".mx.cloudflare.net", 5, 0, 0, 0 },
    { "improvmx", ".improvmx.com", 5, 0, 0, 0 },
    { "ovh", ".mail.ovh.net", 5, 0, 0, 0 },
    { "naver", ".naver.com", 5, 0, 0, 0 },
    { "hanmail", ".hanmail.net .daum.net", 5, 0, 0, 0 },
    { "uol", ".uol.com.br .bol.com.br", 5, 0, 0, 0 },
    { "amazon-ses-relay", "email-smtp.*.amazonaws.com", 5, 0, 0, 0 },
    { "amazon-ses", "inbound-smtp.*.amazonaws.com", 5, 0, 0, 0 },
    { "sendgrid-relay", "smtp.sendgrid.net", 5, 0, 0, 0 },
};

enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

static bool ends_with(const char *s, size_t len, const char *end, size_t end_len)
{
    return len >= end_len && memcmp(s + len - end_len, end, end_len) == 0;
}

/* One entry of a list, LEN bytes. */
static bool entry_matches(const char *entry, size_t len, const char *host, size_t host_len)
{
    const char *star = memchr(entry, '*', len);
    size_t before = star != NULL ? (size_t)(star - entry) : 0;

    if (star != NULL)
        return host_len >= len && memcmp(entry, host, before) == 0 &&
               ends_with(host, host_len, star + 1, len - before - 1);
    if (*entry == '.')
        return host_len > len && ends_with(host, host_len, entry, len);
    return host_len == len && memcmp(entry, host, len) == 0;
}

static bool list_matches(const char *list, const char *host, size_t host_len)
{
    while (*list != '\0') {
        size_t len = strcspn(list, " ");

        if (entry_matches(list, len, host, host_len))
            return true;
        list += len;
        list += strspn(list, " ");
    }
    return false;
}

const struct provider *provider_of_host(const char *host)
{
    size_t len = strlen(host);

    for (size_t i = 0; i < PROVIDERS; i++)
        if (list_matches(providers[i].hosts, host, len))
            return &providers[i];
    return NULL;
}

const struct provider *provider_by_name(const char *name)
{
    for (size_t i = 0; i < PROVIDERS; i++)
        if (strcmp(providers[i].name, name) == 0)
            return &providers[i];
    return NULL;
}
