/* The bounded window of names. Ready names hang in one list a sender, the
 * senders in a circle; later names are one array, the latest first, so that the
 * earliest is popped and the latest is dropped cheaply enough. Nothing here
 * knows a file. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "spooler/keeper/window.h"

enum { BUCKETS = 64, NONE = UINT16_MAX };

struct name {                           /* struct qname, packed */
    int64_t due;
    char id[MSGID_LEN];
    char letter;
    char sender[QNAME_SENDER_LEN];
};
struct node { struct name name; uint16_t next; };
struct sender {
    char key[QNAME_SENDER_LEN];
    uint16_t first, last, count;        /* its nodes */
    uint16_t chain;                     /* next in the bucket */
    uint16_t before, after;             /* in the circle */
};

struct window {
    struct node *node;
    struct sender *sender;
    uint16_t *bucket;
    uint16_t room, nodes, free_node, free_sender, turn;
    struct name *later;
    size_t nlater, later_room;
    int64_t left_out;                   /* earliest DUE of what did not fit */
};

struct window *window_new(void)
{
    struct window *w = calloc(1, sizeof *w);

    if (w != NULL)
        window_reset(w);
    return w;
}

void window_free(struct window *w)
{
    if (w == NULL)
        return;
    free(w->node);
    free(w->sender);
    free(w->bucket);
    free(w->later);
    free(w);
}

void window_reset(struct window *w)
{
    free(w->node);
    free(w->sender);
    free(w->bucket);
    free(w->later);
    *w = (struct window){ .free_node = NONE, .free_sender = NONE, .turn = NONE, .left_out = WINDOW_NEVER };
}

static void pack(struct name *n, const struct qname *q)
{
    n->due = q->due;
    memcpy(n->id, q->id.s, MSGID_LEN);
    n->letter = q->letter;
    memcpy(n->sender, q->sender, QNAME_SENDER_LEN);
}

static void unpack(struct qname *q, const struct name *n)
{
    *q = (struct qname){ .due = n->due, .letter = n->letter };
    memcpy(q->id.s, n->id, MSGID_LEN);
    memcpy(q->sender, n->sender, QNAME_SENDER_LEN);
}

static unsigned hash(const char *key)
{
    return ((unsigned char)key[0] * 31u * 31u + (unsigned char)key[1] * 31u + (unsigned char)key[2]) % BUCKETS;
}

static void leave_out(struct window *w, int64_t due)
{
    if (due < w->left_out)
        w->left_out = due;
}

/* Doubles the room for ready names; a sender for each at worst. */
static bool grow(struct window *w)
{
    uint16_t room = w->room == 0 ? 4 : (uint16_t)(w->room * 2 > WINDOW_READY ? WINDOW_READY : w->room * 2);
    struct node *node;
    struct sender *sender;

    if (room == w->room)
        return false;
    if (w->bucket == NULL) {
        if ((w->bucket = malloc(BUCKETS * sizeof *w->bucket)) == NULL)
            return false;
        memset(w->bucket, 0xff, BUCKETS * sizeof *w->bucket);
    }
    if ((node = reallocarray(w->node, room, sizeof *node)) == NULL)
        return false;
    w->node = node;
    if ((sender = reallocarray(w->sender, room, sizeof *sender)) == NULL)
        return false;
    w->sender = sender;
    for (uint16_t i = w->room; i < room; i++) {
        node[i].next = w->free_node;
        w->free_node = i;
        sender[i].chain = w->free_sender;
        w->free_sender = i;
    }
    w->room = room;
    return true;
}

static uint16_t find_sender(const struct window *w, const char *key)
{
    uint16_t i = w->bucket[hash(key)];

    while (i != NONE && memcmp(w->sender[i].key, key, QNAME_SENDER_LEN) != 0)
        i = w->sender[i].chain;
    return i;
}

static uint16_t make_sender(struct window *w, const char *key)
{
    uint16_t i = w->free_sender;
    struct sender *s = &w->sender[i];

    w->free_sender = s->chain;
    memcpy(s->key, key, QNAME_SENDER_LEN);
    s->first = s->last = NONE;
    s->count = 0;
    s->chain = w->bucket[hash(key)];
    w->bucket[hash(key)] = i;
    if (w->turn == NONE) {
        s->before = s->after = i;
        w->turn = i;
    } else {                            /* last in the circle: just before whose turn it is */
        s->after = w->turn;
        s->before = w->sender[w->turn].before;
        w->sender[s->before].after = i;
        w->sender[s->after].before = i;
    }
    return i;
}

static void drop_sender(struct window *w, uint16_t i)
{
    struct sender *s = &w->sender[i];
    uint16_t *at = &w->bucket[hash(s->key)];

    while (*at != i)
        at = &w->sender[*at].chain;
    *at = s->chain;
    if (w->turn == i)
        w->turn = s->after == i ? NONE : s->after;
    w->sender[s->before].after = s->after;
    w->sender[s->after].before = s->before;
    s->chain = w->free_sender;
    w->free_sender = i;
}

/* Removes the first name of a sender. */
static void pop(struct window *w, uint16_t i, struct name *out)
{
    struct sender *s = &w->sender[i];
    uint16_t n = s->first;

    *out = w->node[n].name;
    s->first = w->node[n].next;
    if (s->first == NONE)
        s->last = NONE;
    w->node[n].next = w->free_node;
    w->free_node = n;
    w->nodes--;
    if (--s->count == 0)
        drop_sender(w, i);
}

static uint16_t heaviest(const struct window *w)
{
    uint16_t best = w->turn, i = w->turn;

    do {
        if (w->sender[i].count > w->sender[best].count)
            best = i;
        i = w->sender[i].after;
    } while (i != w->turn);
    return best;
}

/* Room for one more of this sender: grows, or takes a place from whoever has most. */
static bool make_room(struct window *w, const char *key)
{
    uint16_t mine, most;
    struct name out;

    if (w->nodes < w->room || grow(w))
        return true;
    if (w->nodes == 0)
        return false;
    most = heaviest(w);
    mine = find_sender(w, key);
    if (most == mine || w->sender[most].count <= (mine == NONE ? 0 : w->sender[mine].count) + 1)
        return false;
    pop(w, most, &out);
    leave_out(w, out.due);
    return true;
}

static void add_ready(struct window *w, const struct name *name)
{
    uint16_t i, n;

    if (!make_room(w, name->sender)) {
        leave_out(w, name->due);
        return;
    }
    i = find_sender(w, name->sender);
    if (i == NONE)
        i = make_sender(w, name->sender);
    n = w->free_node;
    w->free_node = w->node[n].next;
    w->node[n] = (struct node){ .name = *name, .next = NONE };
    if (w->sender[i].last == NONE)
        w->sender[i].first = n;
    else
        w->node[w->sender[i].last].next = n;
    w->sender[i].last = n;
    w->sender[i].count++;
    w->nodes++;
}

static bool grow_later(struct window *w)
{
    size_t room = w->later_room == 0 ? 2 : w->later_room * 2;
    struct name *later = reallocarray(w->later, room > WINDOW_LATER ? WINDOW_LATER : room, sizeof *later);

    if (later == NULL)
        return false;
    w->later = later;
    w->later_room = room > WINDOW_LATER ? WINDOW_LATER : room;
    return true;
}

static void add_later(struct window *w, const struct name *name)
{
    size_t lo = 0, hi = w->nlater;

    if (w->nlater == WINDOW_LATER || (w->nlater == w->later_room && !grow_later(w))) {
        if (w->nlater == 0 || name->due >= w->later[0].due) {
            leave_out(w, name->due);
            return;
        }
        leave_out(w, w->later[0].due);          /* the latest makes room */
        memmove(w->later, w->later + 1, --w->nlater * sizeof *w->later);
        hi = w->nlater;
    }
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (w->later[mid].due > name->due)
            lo = mid + 1;
        else
            hi = mid;
    }
    memmove(w->later + lo + 1, w->later + lo, (w->nlater - lo) * sizeof *w->later);
    w->later[lo] = *name;
    w->nlater++;
}

void window_add(struct window *w, const struct qname *q, int64_t now)
{
    struct name name;

    pack(&name, q);
    if (q->due <= now)
        add_ready(w, &name);
    else
        add_later(w, &name);
}

void window_turn(struct window *w, int64_t now)
{
    while (w->nlater > 0 && w->later[w->nlater - 1].due <= now && !window_full(w))
        add_ready(w, &w->later[--w->nlater]);
}

bool window_take(struct window *w, struct qname *q)
{
    struct name name;
    uint16_t i = w->turn;

    if (i == NONE)
        return false;
    w->turn = w->sender[i].after;
    pop(w, i, &name);
    unpack(q, &name);
    return true;
}

bool window_peek(const struct window *w, struct qname *q)
{
    if (w->turn == NONE)
        return false;
    unpack(q, &w->node[w->sender[w->turn].first].name);
    return true;
}

size_t window_ready(const struct window *w)
{
    return w->nodes;
}

bool window_full(const struct window *w)
{
    return w->nodes >= WINDOW_READY;
}

int64_t window_next(const struct window *w)
{
    int64_t next = w->nlater > 0 ? w->later[w->nlater - 1].due : WINDOW_NEVER;

    return w->left_out < next ? w->left_out : next;
}

bool window_wants_pass(const struct window *w, int64_t now)
{
    return w->left_out <= now && w->nodes <= WINDOW_READY / 4;
}

void window_pass(struct window *w)
{
    w->nlater = 0;
    w->left_out = WINDOW_NEVER;
}
