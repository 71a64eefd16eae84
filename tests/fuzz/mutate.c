/* Changes to a cfg that keep its form: whole sections and key lines, made from the engine's own table of
 * sections. libFuzzer calls this beside its changes of single bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sections.h"
#include "target.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static uint32_t state;

static unsigned below(unsigned count)
{
    draw(&state, 0);
    return (state >> 8) % count;
}

#define ANY_OF(array) array[below(sizeof array / sizeof *array)]

static const struct dk_kind *any_kind(void)
{
    unsigned count = 0;
    while (dk_kinds[count] && dk_kinds[count]->keys) count++;
    return dk_kinds[1 + below(count - 1)];
}

/* One of the words in `words`, which commas and blanks part. */
static void any_word(const char *words, char *to, size_t room)
{
    static const char between[] = ", ";
    const char *word = words + below((unsigned)strlen(words));
    while (word > words && !strchr(between, word[-1])) word--;
    snprintf(to, room, "%.*s", (int)strcspn(word, between), word);
}

static void any_value(const struct dk_key *key, char *to, size_t room)
{
    static const char *const whole[] = {"0", "1", "1", "2", "2", "3", "3", "4", "5", "-1", "-2", "-3", "6", "99999999"};
    static const char *const real[] = {"0", "1", "-1", ".5", "2", "3", "-.3", "1e-3", "1e-30", "1e9"};
    static const char *const lists[] = {"c", "h", "w", "c,h", "h,w", "c,h,w", "w,c,h", "c,w,h", "-1", "-1,0", "-1,-2",
                                        "0", "0,1", "-2"};
    static const char stock[] = "linear, relu, leaky, logistic, tanh, elu, selu, hardtan, lhtan, loggy, stair, plse";
    switch (key->kind) {
    case WHOLE:
        snprintf(to, room, "%s", ANY_OF(whole));
        break;
    case REAL:
        snprintf(to, room, "%s", ANY_OF(real));
        break;
    case ACTIVATION_NAME:
        any_word(below(3) ? stock : dk_our_activation_names(), to, room);
        break;
    case WORD:
        any_word(key->words ? key->words : "a, b, last", to, room);
        break;
    case LIST:
    case IGNORED:
        snprintf(to, room, "%s", ANY_OF(lists));
        break;
    }
}

static int any_line(const struct dk_kind *kind, char *to, size_t room)
{
    const struct dk_key *keys = below(8) ? kind->keys : dk_common_keys;
    unsigned count = 0;
    char value[40];
    while (keys[count].name) count++;
    if (!count) return 0;
    const struct dk_key *key = &keys[below(count)];
    any_value(key, value, sizeof value);
    return snprintf(to, room, "%s=%s\n", key->name, value);
}

static int any_section(char *to, size_t room)
{
    const struct dk_kind *kind = any_kind();
    int used = snprintf(to, room, "[%s]\n", kind->name);
    for (unsigned lines = below(5); lines; lines--) used += any_line(kind, to + used, room - (size_t)used);
    return used;
}

/* The text of an input: what stands before the first zero byte. */
struct text {
    char *bytes;
    size_t length, size, most;
};

/* Start of a line, the end of the text included; with `sections` only of a section's first line. */
static size_t any_start(const struct text *t, int sections)
{
    size_t at = t->length ? below((unsigned)t->length + 1) : 0;
    while (at < t->length && !((!at || t->bytes[at - 1] == '\n') && (!sections || t->bytes[at] == '['))) at++;
    return at;
}

static size_t next_start(const struct text *t, size_t at, int sections)
{
    for (at++; at < t->length; at++) {
        if (t->bytes[at - 1] == '\n' && (!sections || t->bytes[at] == '[')) return at;
    }
    return t->length;
}

static void splice(struct text *t, size_t at, size_t drop, const char *insert, size_t count)
{
    if (t->size - drop + count > t->most) return;
    memmove(t->bytes + at + count, t->bytes + at + drop, t->size - at - drop);
    memcpy(t->bytes + at, insert, count);
    t->size = t->size - drop + count;
    t->length = t->length - drop + count;
}

/* What the section around `at` is called in the table; NULL before the first and for one unknown. */
static const struct dk_kind *kind_at(const struct text *t, size_t at)
{
    while (at && !(t->bytes[at - 1] == '[')) at--;
    for (const struct dk_kind *const *kind = dk_kinds; at && *kind; kind++) {
        size_t length = strlen((*kind)->name);
        if (at + length < t->length && !memcmp(t->bytes + at, (*kind)->name, length) && t->bytes[at + length] == ']') {
            return (*kind)->keys ? *kind : NULL;
        }
    }
    return NULL;
}

static void change(struct text *t)
{
    char made[512];
    size_t at, end;
    switch (below(6)) {
    case 0: /* a new section */
        splice(t, any_start(t, 1), 0, made, (size_t)any_section(made, sizeof made));
        break;
    case 1: /* one less */
        at = any_start(t, 1);
        if (at < t->length) splice(t, at, next_start(t, at, 1) - at, "", 0);
        break;
    case 2: /* one twice */
        at = any_start(t, 1);
        end = next_start(t, at, 1);
        if (at == t->length || end - at > sizeof made) break;
        memcpy(made, t->bytes + at, end - at);
        splice(t, any_start(t, 1), 0, made, end - at);
        break;
    case 3: /* one line less */
        at = any_start(t, 0);
        if (at < t->length) splice(t, at, next_start(t, at, 0) - at, "", 0);
        break;
    default: /* a new line, or another one in its place */
        at = any_start(t, 0);
        const struct dk_kind *kind = kind_at(t, at);
        if (!kind) break;
        int count = any_line(kind, made, sizeof made);
        int other = at < t->length && t->bytes[at] != '[' && below(2);
        splice(t, at, other ? next_start(t, at, 0) - at : 0, made, (size_t)count);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    state = seed;
    if (!below(3)) return LLVMFuzzerMutate(data, size, most);
    const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
    struct text text = {(char *)data, end ? (size_t)(end - data) : size, size, most};
    for (unsigned changes = 1 + below(4); changes; changes--) change(&text);
    return text.size;
}
