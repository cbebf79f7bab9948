/* rules: what replies say, as data. Pure. Two tables, both tried in order:
 * the first row that fits gives the cause, then the first of the other table
 * that fits the cause gives the scope, if any does. A new wording is a row
 * here, or a phrase more in one; judge.c stays as it is. */
#ifndef ABIDE_POLICY_RULES_H
#define ABIDE_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include "common/cause.h"
#include "spooler/policy/judge.h"

/* What is not said is zero and fits everything. */
struct rule {
    const char *name;                   /* for people: what the server means */
    unsigned phases;                    /* bits 1 << PHASE_X */
    int codes;                          /* 4 or 5: the class; 421: that code */
    const char *enh;                    /* ".7.28": of either class; ".7.*" */
    const char *provider;               /* names between blanks */
    const char *text;                   /* phrases, see words.h */
    const char *unless;                 /* phrases that forbid it */
    bool urls;                          /* look into URLs, too */
    enum cause cause;
    enum cause cause_5yz;               /* where it is another; else CAUSE_NONE */
    enum scope scope;
};

struct scope_rule {
    enum cause causes[6];               /* CAUSE_NONE ends them */
    const char *provider;
    unsigned phases;
    const char *text;
    const char *unless;
    enum scope scope;
};

extern const struct rule rules[];
extern const size_t rules_count;
extern const struct scope_rule scope_rules[];
extern const size_t scope_rules_count;

#endif
