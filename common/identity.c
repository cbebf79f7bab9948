/* identity: finds out what this machine and this user are called, from a few
 * small files and one system call. It never asks the network, and never gives
 * out a name that would make another machine think of itself. Called by front,
 * keeper and tools at their start. */
#include <config.h>

#include "common/identity.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/config.h"

enum { LABEL_MAX = 63, HOSTS_MAX = 16 * 1024 };

static const char blanks[] = " \t\r\n";

/* ---- what a name may look like ----------------------------------------- */

static bool label_valid(const char *s, size_t len, bool underscore)
{
    if (len == 0 || len > LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isascii((unsigned char)s[i]) || (!isalnum((unsigned char)s[i]) && s[i] != '-' && !(underscore && s[i] == '_')))
            return false;
    return true;
}

/* A last label of digits alone would be read as an address. */
static bool labels_valid(const char *name, bool underscore)
{
    const char *s = name;
    size_t len;

    if (strlen(name) >= IDENTITY_SIZE)
        return false;
    for (;; s += len + 1) {
        len = strcspn(s, ".");
        if (!label_valid(s, len, underscore))
            return false;
        if (s[len] == '\0')
            return strspn(s, "0123456789") < len;
    }
}

static bool ends_in(const char *name, const char *tail)
{
    size_t len = strlen(name), tail_len = strlen(tail);

    return len >= tail_len && strcasecmp(name + len - tail_len, tail) == 0;
}

bool identity_host_valid(const char *name)
{
    return labels_valid(name, true);
}

bool identity_name_valid(const char *name)
{
    return strchr(name, '.') != NULL && labels_valid(name, false) && strncasecmp(name, "localhost.", 10) != 0 &&
           !ends_in(name, ".localhost") && !ends_in(name, ".localdomain");
}

/* ---- this machine ------------------------------------------------------ */

/* The first bytes of a small file as a string; "" if there is none. */
static void read_small(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;

    if (fd != -1) {
        while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
            len += (size_t)n;
        (void)close(fd);
    }
    out[len] = '\0';
}

/* Takes NAME if it may be shown; a final dot is dropped. */
static bool take_name(const char *name, char out[IDENTITY_SIZE])
{
    size_t len = strlen(name);

    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len == 0 || len >= IDENTITY_SIZE)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[len] = '\0';
    return identity_name_valid(out);
}

static bool take_mailname(const char *path, char out[IDENTITY_SIZE])
{
    char text[IDENTITY_SIZE + 2], *line = text;

    read_small(path, text, sizeof(text));
    line += strspn(line, blanks);
    line[strcspn(line, blanks)] = '\0';
    return take_name(line, out);
}

/* One line of the hosts file: if NODE is among its names, the first of them
 * that may be shown. */
static bool take_hosts_line(char *line, const char *node, char out[IDENTITY_SIZE])
{
    char *names, *word, *rest;
    bool ours = false, found = false;

    line[strcspn(line, "#")] = '\0';
    names = line + strspn(line, blanks);
    names += strcspn(names, blanks);        /* the address */
    for (rest = names; (word = strsep(&rest, blanks)) != NULL;) {
        ours = ours || strcasecmp(word, node) == 0;
        if (!found && *word != '\0')
            found = take_name(word, out);
    }
    return ours && found;
}

static bool take_hosts(const char *path, const char *node, char out[IDENTITY_SIZE])
{
    char text[HOSTS_MAX], *line = text, *end;

    read_small(path, text, sizeof(text));
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {   /* a last line may be cut: not read */
        *end = '\0';
        if (take_hosts_line(line, node, out))
            return true;
    }
    return false;
}

/* .invalid (RFC 2606) says to everybody who sees it that nothing told us. */
static void make_up_name(const char *node, char out[IDENTITY_SIZE])
{
    char label[LABEL_MAX + 1];
    size_t len = strcspn(node, ".");

    if (len > LABEL_MAX)
        len = LABEL_MAX;
    for (size_t i = 0; i < len; i++)
        label[i] = isascii((unsigned char)node[i]) && isalnum((unsigned char)node[i]) ? (char)tolower((unsigned char)node[i]) : '-';
    label[len] = '\0';
    if (!label_valid(label, len, false) || strcmp(label, "localhost") == 0)
        (void)strlcpy(label, "unknown", sizeof(label));
    (void)snprintf(out, IDENTITY_SIZE, "%s.invalid", label);
}

void identity_find_in(const struct config *c, const struct identity_places *p, struct identity *id)
{
    memset(id, 0, sizeof(*id));
    if (!take_name(c->hostname, id->hostname) && !take_mailname(p->mailname, id->hostname) &&
        !take_name(p->node, id->hostname) && (p->node[0] == '\0' || !take_hosts(p->hosts, p->node, id->hostname))) {
        make_up_name(p->node, id->hostname);
        id->made_up = true;
    }
    if (!take_name(c->domain, id->domain))
        (void)strlcpy(id->domain, id->hostname, sizeof(id->domain));
}

void identity_find(const struct config *c, struct identity *id)
{
    char node[HOST_NAME_MAX + 1];
    struct identity_places places = { .mailname = "/etc/mailname", .hosts = "/etc/hosts", .node = node };

    if (gethostname(node, sizeof(node)) != 0)
        node[0] = '\0';
    node[sizeof(node) - 1] = '\0';
    identity_find_in(c, &places, id);
}

/* ---- this user --------------------------------------------------------- */

/* Cut between characters, not within one (UTF-8). */
static void trim_broken_tail(char *s)
{
    size_t len = strlen(s), start = len;

    while (start > 0 && len - start < 3 && ((unsigned char)s[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)s[start - 1] >= 0xc0)
        s[start - 1] = '\0';
}

/* GECOS up to the first comma; & is the login name with a capital. */
static void full_name(const char *gecos, const char *login, char *out, size_t size)
{
    size_t len = 0;

    for (; *gecos != '\0' && *gecos != ',' && len + 1 < size; gecos++) {
        unsigned char c = (unsigned char)*gecos;

        if (c == '&') {
            (void)strlcpy(out + len, login, size - len);
            out[len] = (char)toupper((unsigned char)out[len]);
            len += strlen(out + len);
        } else {
            out[len++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
        }
    }
    out[len] = '\0';
    if (*gecos != '\0' && *gecos != ',')
        trim_broken_tail(out);
}

/* A name that could not stand in an address or a header is no name. */
static bool login_valid(const char *s)
{
    if (*s == '\0' || strlen(s) > LOGIN_NAME_MAX)
        return false;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("<>()[]:;@\\,\"", *s) != NULL)
            return false;
    return true;
}

void identity_user(uid_t uid, char *name, size_t name_size, char *full, size_t full_size)
{
    const struct passwd *pw = getpwuid(uid);

    full[0] = '\0';
    if (pw == NULL || !login_valid(pw->pw_name)) {
        (void)snprintf(name, name_size, "uid%lu", (unsigned long)uid);
        return;
    }
    (void)strlcpy(name, pw->pw_name, name_size);
    full_name(pw->pw_gecos == NULL ? "" : pw->pw_gecos, pw->pw_name, full, full_size);
}
