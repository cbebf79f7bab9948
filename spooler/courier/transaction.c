/* transaction: holds what one flight needs on its way through a session. It
 * decides nothing. Addresses come from the keeper and must never bring line
 * ends into a command. */
#include <config.h>

#include "spooler/courier/transaction.h"

#include <string.h>

#include "common/err.h"
#include "spooler/link/wire.h"

static bool address_safe(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static int name_add(struct transaction *t, const char *name, struct err *e)
{
    if (!address_safe(name))
        return err_set(e, EX_DATAERR, "an address with control bytes");
    if (!buf_add(&t->names, name, strlen(name) + 1))
        return err_set(e, EX_OSERR, "no memory for addresses");
    return 0;
}

static int names_add(struct transaction *t, const struct wire_send *w, struct err *e)
{
    t->names.max = WIRE_MAX * 2;
    buf_clear(&t->names);
    if (w->nrcpt == 0 || w->nrcpt > WIRE_RCPT_MAX)
        return err_set(e, EX_DATAERR, "%u recipients in one flight", w->nrcpt);
    if (name_add(t, w->sender, e) == -1)
        return -1;
    for (unsigned i = 0; i < w->nrcpt; i++)
        if (name_add(t, w->rcpt[i], e) == -1)
            return -1;
    return 0;
}

int transaction_init(struct transaction *t, const struct wire_send *w, int fd, struct err *e)
{
    struct buf names = t->names;

    *t = (struct transaction){
        .flight = w->flight, .eight_bit = w->eight_bit, .say = w->say, .wire_bytes = w->wire_bytes,
        .longest_line = w->longest_line, .nrcpt = w->nrcpt, .names = names,
    };
    body_init(&t->body, fd, w->message_at, w->disk_bytes);
    if (names_add(t, w, e) == -1) {
        transaction_fini(t);
        return -1;
    }
    return 0;
}

void transaction_fini(struct transaction *t)
{
    body_fini(&t->body);
}

void transaction_free(struct transaction *t)
{
    body_fini(&t->body);
    buf_fini(&t->names);
}

const char *transaction_name(struct transaction *t)
{
    const char *name = t->names.data + t->name_at;

    t->name_at += strlen(name) + 1;
    return name;
}
