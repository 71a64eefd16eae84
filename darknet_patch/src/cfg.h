/* A cfg as read: sections of options, each knowing its line. The leading members are those of upstream's
 * `section` and `kvp`, which upstream's parser reads and frees. */
#ifndef DK_CFG_H
#define DK_CFG_H
#include "darknet.h"
#include "list.h"
#include "option_list.h"

struct dk_option {
    kvp pair;
    int line;
    int ignored; /* a training key: upstream is to see its default */
};

struct dk_section {
    char *type; /* with brackets */
    list *options;
    int line;
};

const char *dk_text(list *options, const char *key); /* NULL when absent */
int dk_int(list *options, const char *key, int otherwise);
int dk_has(list *options, const char *key);
/* Whole text as a number, whatever the locale; 0 when it is not one. */
int dk_number(const char *text, double *value);
int dk_whole(const char *text, int *value);

struct dk_kind;
/* keys.c: fails unless the section is one of this engine's; its row of the table. */
const struct dk_kind *dk_section_kind(const struct dk_section *section);
/* keys.c: fails unless every key is known, given once and in range; marks training keys as ignored. */
void dk_check_keys(struct dk_section *section);
/* Puts the cfg place of later messages on this section. */
void dk_at_section(const struct dk_section *section);
#endif
