/* listing: what lies in the spool, in the order of age. Names are read all at
 * once, 40 bytes each; a message is opened when its turn comes. It changes
 * nothing, takes no lock, and what it finds gone it passes over. Called by
 * mailq (with its caller's rights) and by the administrator's tool. */
#include <config.h>

#include "common/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/spool.h"
#include "common/spool_internal.h"

enum { ENTRIES_FIRST = 1024, ENTRIES_MAX = 20000000, OPEN_DIRS = 64, NO_DIR = -1 };

struct entry {
    int64_t due;
    uint32_t dir;                       /* index into listing.dir */
    char letter;
    char sender[QNAME_SENDER_LEN + 1];
    struct msgid id;
};

struct dir {
    enum listing_where where;
    enum spool_dir parent;
    char *name;                         /* below the parent; NULL: the parent itself */
};

struct listing {
    struct spool *spool;
    struct entry *entry;
    size_t nentry, entry_room;
    struct dir *dir;
    size_t ndir, dir_room;
    size_t count;                       /* messages, once each */
    size_t next;
    struct { int dir, fd; } open[OPEN_DIRS];    /* directories kept open, each in the place its index gives */
    struct buf trail;
    struct listing_item item;
};

/* ---- names ------------------------------------------------------------- */

/* Makes room for one more; a bound keeps a hostile spool from taking all memory. */
static int reserve(void **array, size_t *room, size_t n, size_t size, struct err *e)
{
    size_t more = *room == 0 ? ENTRIES_FIRST : *room * 2;
    void *p;

    if (n < *room)
        return 0;
    if (n >= ENTRIES_MAX)
        return err_set(e, EX_TEMPFAIL, "the spool has more than %d names", ENTRIES_MAX);
    p = reallocarray(*array, more, size);
    if (p == NULL)
        return err_sys(e, EX_TEMPFAIL, "read the spool's names");
    *array = p;
    *room = more;
    return 0;
}

static int add_dir(struct listing *l, enum listing_where where, enum spool_dir parent, const char *name, struct err *e)
{
    void *array = l->dir;
    char *copy = NULL;

    if (reserve(&array, &l->dir_room, l->ndir, sizeof(*l->dir), e) != 0)
        return -1;
    l->dir = array;
    if (name != NULL && (copy = strdup(name)) == NULL)
        return err_sys(e, EX_TEMPFAIL, "read the spool's names");
    l->dir[l->ndir++] = (struct dir){ where, parent, copy };
    return 0;
}

/* A bare ID in new/ and dead/, a queue name below cur/ and hold/; anything
 * else is not ours to show. */
static int add_name(struct listing *l, size_t dir, const char *name, struct err *e)
{
    void *array = l->entry;
    struct entry x = { .dir = (uint32_t)dir, .letter = 'n' };
    struct qname q;

    if (l->dir[dir].name == NULL) {
        if (!msgid_valid(name))
            return 0;
        (void)strlcpy(x.id.s, name, sizeof(x.id.s));
    } else {
        if (!qname_parse(name, &q))
            return 0;
        x.due = q.due;
        x.id = q.id;
        x.letter = q.letter;
        memcpy(x.sender, q.sender, sizeof(x.sender));
    }
    if (reserve(&array, &l->entry_room, l->nentry, sizeof(x), e) != 0)
        return -1;
    l->entry = array;
    l->entry[l->nentry++] = x;
    return 0;
}

/* Opened for reading, not for *at() calls: who may not list gets EX_NOPERM. */
static int open_listed(struct listing *l, enum spool_dir parent, const char *name, struct err *e)
{
    int at = spool_fd(l->spool, parent, e), fd;

    if (at == -1)
        return -1;
    fd = openat(at, name == NULL ? "." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        (void)err_sys(e, errno == EACCES ? EX_NOPERM : EX_IOERR, "list %s/%s%s%s", spool_path(l->spool),
            spool_dir_name(parent), name == NULL ? "" : "/", name == NULL ? "" : name);
    return fd;
}

/* Calls EACH with every name of a directory. readdir() gives NULL for an error
 * as it does for the end. Takes FD. */
static int each_name(struct listing *l, int fd, size_t arg, int (*each)(struct listing *, size_t, const char *, struct err *),
    struct err *e)
{
    DIR *d = fdopendir(fd);
    const struct dirent *entry;
    int r = 0;

    if (d == NULL) {
        (void)err_sys(e, EX_TEMPFAIL, "list a directory of %s", spool_path(l->spool));
        (void)close(fd);
        return -1;
    }
    for (;;) {
        errno = 0;
        entry = readdir(d);
        if (entry == NULL && errno != 0)
            r = err_sys(e, EX_IOERR, "list a directory of %s", spool_path(l->spool));
        if (entry == NULL || (entry->d_name[0] != '.' && (r = each(l, arg, entry->d_name, e)) != 0))
            break;
    }
    (void)closedir(d);
    return r;
}

static int read_flat(struct listing *l, enum listing_where where, enum spool_dir dir, struct err *e)
{
    int fd = open_listed(l, dir, NULL, e);

    if (fd == -1)
        return -1;
    if (add_dir(l, where, dir, NULL, e) != 0) {
        (void)close(fd);
        return -1;
    }
    return each_name(l, fd, l->ndir - 1, add_name, e);
}

static int add_domain(struct listing *l, size_t where, const char *name, struct err *e)
{
    return add_dir(l, (enum listing_where)where, where == LISTED_HOLD ? SPOOL_HOLD : SPOOL_CUR, name, e);
}

/* An empty domain's directory goes at any time. */
static int read_domain(struct listing *l, size_t dir, struct err *e)
{
    struct err why;
    int fd = open_listed(l, l->dir[dir].parent, l->dir[dir].name, &why);

    if (fd == -1 && (why.sys == ENOENT || why.sys == ENOTDIR || why.sys == ELOOP))
        return 0;
    if (fd == -1) {
        if (e != NULL)
            *e = why;
        return -1;
    }
    return each_name(l, fd, dir, add_name, e);
}

static int read_domains(struct listing *l, enum listing_where where, enum spool_dir parent, struct err *e)
{
    size_t first = l->ndir;
    int fd = open_listed(l, parent, NULL, e);

    if (fd == -1 || each_name(l, fd, where, add_domain, e) != 0)
        return -1;
    for (size_t i = first; i < l->ndir; i++)
        if (read_domain(l, i, e) != 0)
            return -1;
    return 0;
}

/* ---- order ------------------------------------------------------------- */

/* By ID, that is by age; of one message, the name due first is first. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int r = memcmp(x->id.s, y->id.s, MSGID_LEN);

    return r != 0 ? r : (x->due > y->due) - (x->due < y->due);
}

/* The end of the names that begin at I and are one message's. */
static size_t group_end(const struct listing *l, size_t i)
{
    size_t end = i + 1;

    while (end < l->nentry && memcmp(l->entry[i].id.s, l->entry[end].id.s, MSGID_LEN) == 0)
        end++;
    return end;
}

/* new/ before cur/: a message is listed twice, not missed, if it is filed
 * between the two; its ID makes that one item again. */
int listing_open(struct spool *s, bool dead, struct listing **listing_r, struct err *e)
{
    struct listing *l = calloc(1, sizeof(*l));
    int r;

    *listing_r = NULL;
    if (l == NULL)
        return err_sys(e, EX_TEMPFAIL, "list the spool");
    l->spool = s;
    for (int i = 0; i < OPEN_DIRS; i++)
        l->open[i].dir = l->open[i].fd = NO_DIR;
    l->trail.max = SPOOL_TRAIL_MAX;
    if (dead)
        r = read_flat(l, LISTED_DEAD, SPOOL_DEAD, e);
    else if ((r = read_flat(l, LISTED_NEW, SPOOL_NEW, e)) == 0 && (r = read_domains(l, LISTED_CUR, SPOOL_CUR, e)) == 0)
        r = read_domains(l, LISTED_HOLD, SPOOL_HOLD, e);
    if (r != 0) {
        listing_free(l);
        return -1;
    }
    if (l->nentry > 0)
        qsort(l->entry, l->nentry, sizeof(*l->entry), compare);
    for (size_t i = 0; i < l->nentry; i = group_end(l, i))
        l->count++;
    *listing_r = l;
    return 0;
}

size_t listing_count(const struct listing *l)
{
    return l->count;
}

/* ---- items ------------------------------------------------------------- */

/* The descriptor of an entry's directory, for *at() calls; borrowed. */
static int entry_dir(struct listing *l, const struct entry *x)
{
    const struct dir *d = &l->dir[x->dir];
    int at = spool_fd(l->spool, d->parent, NULL), slot = (int)(x->dir % OPEN_DIRS);

    if (d->name == NULL || at == -1)
        return at;
    if (l->open[slot].dir != (int)x->dir) {
        if (l->open[slot].fd != -1)
            (void)close(l->open[slot].fd);
        l->open[slot].fd = openat(at, d->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        l->open[slot].dir = l->open[slot].fd == -1 ? NO_DIR : (int)x->dir;
    }
    return l->open[slot].fd;
}

static void entry_name(const struct listing *l, const struct entry *x, char out[QNAME_SIZE])
{
    struct qname q = { .due = x->due, .id = x->id, .letter = x->letter };

    if (l->dir[x->dir].name == NULL) {
        (void)strlcpy(out, x->id.s, QNAME_SIZE);
        return;
    }
    memcpy(q.sender, x->sender, sizeof(q.sender));
    qname_format(&q, out);
}

/* An ordinary user may not read trails; to him everybody is still owed. */
static bool read_trail(struct listing *l)
{
    struct listing_item *item = &l->item;

    if (spool_read_trail(l->spool, &item->id, item->envelope.uid, &l->trail, NULL) != 0)
        buf_clear(&l->trail);
    return trail_parse(l->trail.data, l->trail.len, item->envelope.nrcpt, &item->trail, NULL) == 0;
}

/* False: the name is gone. What may not be read, or is no message, still has
 * an owner and a size. */
static bool open_item(struct listing *l, const struct entry *x)
{
    struct listing_item *item = &l->item;
    char name[QNAME_SIZE];
    struct stat st;
    int dirfd = entry_dir(l, x), fd;

    if (dirfd == -1)
        return false;
    entry_name(l, x, name);
    fd = spool_read_stat(l->spool, dirfd, name, &item->envelope, &st, NULL);
    if (fd == -1 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    item->id = x->id;
    item->where = l->dir[x->dir].where;
    item->due = x->due;
    item->letter = x->letter;
    item->bytes = (uint64_t)st.st_size;
    item->uid = st.st_uid;
    if (fd == -1)
        return true;
    (void)close(fd);
    item->readable = read_trail(l);
    if (!item->readable)
        envelope_fini(&item->envelope);
    return true;
}

static void clear_item(struct listing *l)
{
    if (l->item.readable) {
        envelope_fini(&l->item.envelope);
        trail_fini(&l->item.trail);
    }
    free(l->item.gone);
    memset(&l->item, 0, sizeof(l->item));
}

static bool waits(const struct listing *l, const struct entry *x)
{
    return l->dir[x->dir].where == LISTED_CUR;
}

/* Of the names of one message the most telling: what waits in cur/ before new/
 * before hold/, and of several the one due first. */
static const struct entry *choose(const struct listing *l, size_t i, size_t end)
{
    const struct entry *best = &l->entry[i];

    for (; i < end; i++) {
        const struct entry *x = &l->entry[i];

        if (waits(l, x))
            return x;
        if (l->dir[best->dir].where == LISTED_HOLD && l->dir[x->dir].where != LISTED_HOLD)
            best = x;
    }
    return best;
}

/* A name may have gone since it was read, another of the same message not. */
static bool find_item(struct listing *l, size_t i, size_t end)
{
    const struct entry *best = choose(l, i, end);

    if (open_item(l, best))
        return true;
    for (; i < end; i++)
        if (&l->entry[i] != best && open_item(l, &l->entry[i]))
            return true;
    return false;
}

/* A domain that is its directory's name as it stands; others are escaped, or A-labels. */
static bool is_plain(const char *domain)
{
    size_t len = strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

    return len > 0 && domain[len] == '\0' && domain[0] != '.' && domain[len - 1] != '.';
}

static bool has_name(const struct listing *l, size_t i, size_t end, const char *domain)
{
    for (; i < end; i++)
        if (strcasecmp(l->dir[l->entry[i].dir].name, domain) == 0)
            return true;
    return false;
}

/* Notes whose names are gone. What lies in new/ is perhaps being filed, and has not got all its names. */
static void note_gone(struct listing *l, size_t i, size_t end)
{
    struct listing_item *item = &l->item;
    const char *before = "";
    bool gone = false;

    for (size_t j = i; j < end; j++)
        if (l->dir[l->entry[j].dir].name == NULL)
            return;
    item->gone = calloc(item->envelope.nrcpt, sizeof(*item->gone));
    for (size_t r = 0; item->gone != NULL && r < item->envelope.nrcpt; r++) {
        const char *domain = address_domain(item->envelope.rcpt[r]);

        if (domain == NULL || !is_plain(domain))
            continue;
        if (strcmp(domain, before) != 0)        /* the usual case is one domain after the other */
            gone = !has_name(l, i, end, domain);
        before = domain;
        item->gone[r] = gone;
    }
}

bool listing_owes(const struct listing_item *item, size_t i)
{
    return (i >= item->trail.nrcpt || item->trail.rcpt[i].fate == FATE_OWED) && (item->gone == NULL || !item->gone[i]);
}

int listing_next(struct listing *l, const struct listing_item **item_r)
{
    *item_r = NULL;
    while (l->next < l->nentry) {
        size_t i = l->next, end = group_end(l, i);

        clear_item(l);
        l->next = end;
        if (find_item(l, i, end)) {
            if (l->item.readable)
                note_gone(l, i, end);
            *item_r = &l->item;
            return 1;
        }
    }
    return 0;
}

void listing_free(struct listing *l)
{
    if (l == NULL)
        return;
    clear_item(l);
    for (int i = 0; i < OPEN_DIRS; i++)
        if (l->open[i].fd != -1)
            (void)close(l->open[i].fd);
    for (size_t i = 0; i < l->ndir; i++)
        free(l->dir[i].name);
    free(l->dir);
    free(l->entry);
    buf_fini(&l->trail);
    free(l);
}
