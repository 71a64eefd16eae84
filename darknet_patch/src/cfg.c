/* Reads a cfg, and answers upstream's option_find_*(); takes the place of upstream's option_list.c. */
#define _GNU_SOURCE /* strtod_l */
#include "cfg.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "hooks.h"

/* One line without its blanks, of any length; 0 at the end of the file. */
static char *read_line(FILE *file)
{
    size_t used = 0, room = 128;
    char *line = dk_calloc(room, 1);
    int c = fgetc(file);
    if (c == EOF) {
        dk_release(line);
        return NULL;
    }
    for (; c != EOF && c != '\n'; c = fgetc(file)) {
        if (c == '\0') dk_fail(DK_BAD_CFG, "not a text file: it holds a zero byte");
        if (strchr(" \t\r\v\f", c)) continue;
        if (used + 1 == room) line = dk_realloc(line, room *= 2);
        line[used++] = (char)c;
    }
    line[used] = '\0';
    return line;
}

static struct dk_section *new_section(list *sections, char *line)
{
    size_t length = strlen(line);
    if (length < 3 || line[length - 1] != ']') dk_fail(DK_BAD_CFG, "expected [section], got '%.80s'", line);
    struct dk_section *section = dk_calloc(1, sizeof *section);
    section->type = line;
    section->options = make_list();
    section->line = dk_current()->line;
    list_insert(sections, section);
    return section;
}

static void new_option(struct dk_section *section, char *line)
{
    char *equals = strchr(line, '=');
    if (!section) dk_fail(DK_BAD_CFG, "'%.80s' stands before the first section", line);
    if (!equals || equals == line || !equals[1]) dk_fail(DK_BAD_CFG, "expected key=value, got '%.80s'", line);
    *equals = '\0';
    struct dk_option *option = dk_calloc(1, sizeof *option);
    option->pair.key = line;
    option->pair.val = equals + 1;
    option->line = dk_current()->line;
    list_insert(section->options, option);
}

static void skip_byte_order_mark(FILE *file)
{
    unsigned char mark[3] = {0};
    size_t count = fread(mark, 1, 3, file);
    if (count != 3 || memcmp(mark, "\xef\xbb\xbf", 3) != 0) rewind(file);
}

list *dk_read_cfg(const char *path)
{
    struct dk_context *context = dk_current();
    FILE *file = dk_open(path);
    list *sections = make_list();
    struct dk_section *section = NULL;
    skip_byte_order_mark(file);
    context->line = 1;
    for (char *line; (line = read_line(file)); context->line++) {
        if (line[0] == '[') {
            section = new_section(sections, line);
            context->section = section->type;
        } else if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
            dk_release(line);
        } else {
            new_option(section, line);
        }
    }
    int broken = ferror(file);
    context->line = 0;
    context->section = NULL;
    if (broken) dk_fail(DK_UNREADABLE, "cannot read %.300s: %s", path, strerror(errno));
    dk_close(file);
    if (!sections->size) dk_fail(DK_BAD_CFG, "the cfg holds no section");
    if (sections->size == 1) dk_fail(DK_BAD_CFG, "the cfg holds no layer, only %.64s", section->type);
    return sections;
}

static struct dk_option *find(list *options, const char *key)
{
    for (node *n = options->front; n; n = n->next) {
        struct dk_option *option = n->val;
        if (!strcmp(option->pair.key, key)) return option;
    }
    return NULL;
}

void dk_at_section(const struct dk_section *section)
{
    dk_current()->line = section->line;
    dk_current()->section = section->type;
}

const char *dk_text(list *options, const char *key)
{
    struct dk_option *option = find(options, key);
    return option && !option->ignored ? option->pair.val : NULL;
}

int dk_has(list *options, const char *key)
{
    return dk_text(options, key) != NULL;
}

int dk_int(list *options, const char *key, int otherwise)
{
    int value = otherwise;
    const char *text = dk_text(options, key);
    if (text) dk_whole(text, &value);
    return value;
}

int dk_whole(const char *text, int *value)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < INT_MIN || number > INT_MAX) return 0;
    *value = (int)number;
    return 1;
}

int dk_number(const char *text, double *value)
{
    if (!*text || text[strspn(text, "0123456789+-.eE")]) return 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain) dk_fail(DK_NO_MEMORY, "out of memory: locale");
    char *end;
    *value = strtod_l(text, &end, plain);
    freelocale(plain);
    return end != text && !*end;
}

/* Upstream's names from here on; what they find has been checked by dk_check_keys. */

char *option_find(list *options, char *key)
{
    return (char *)dk_text(options, key);
}

char *option_find_str(list *options, char *key, char *otherwise)
{
    char *text = option_find(options, key);
    return text ? text : otherwise;
}

int option_find_int_quiet(list *options, char *key, int otherwise)
{
    return dk_int(options, key, otherwise);
}

int option_find_int(list *options, char *key, int otherwise)
{
    return dk_int(options, key, otherwise);
}

float option_find_float_quiet(list *options, char *key, float otherwise)
{
    double value = otherwise;
    const char *text = dk_text(options, key);
    if (text) dk_number(text, &value);
    return (float)value;
}

float option_find_float(list *options, char *key, float otherwise)
{
    return option_find_float_quiet(options, key, otherwise);
}
