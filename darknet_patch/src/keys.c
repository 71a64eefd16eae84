/* The check of a section against the keys of its row. */
#include <string.h>

#include "cfg.h"
#include "context.h"
#include "sections.h"

static const struct dk_kind *find_kind(const char *type)
{
    size_t length = strlen(type) - 2;
    for (const struct dk_kind *const *kind = dk_kinds; *kind; kind++) {
        const char *names[] = {(*kind)->name, (*kind)->alias};
        for (int j = 0; j < 2; j++) {
            if (strlen(names[j]) == length && !strncmp(names[j], type + 1, length)) return *kind;
        }
    }
    return NULL;
}

static const struct dk_key *find_key(const struct dk_key *keys, const char *name)
{
    for (; keys->name; keys++) {
        if (!strcmp(keys->name, name)) return keys;
    }
    return NULL;
}

static void check_range(const struct dk_key *key, const char *text, double value)
{
    if (key->low == key->high && value != key->low) {
        dk_fail(DK_UNSUPPORTED, "%s=%.40s is not supported, only %.0f is", key->name, text, key->low);
    }
    if (value < key->low) dk_fail(DK_BAD_CFG, "%s must be at least %g, got %.40s", key->name, key->low, text);
    if (value > key->high) dk_fail(DK_BAD_CFG, "%s must be at most %g, got %.40s", key->name, key->high, text);
}

static void check_activation(const char *text)
{
    static const char *const names[] = {"linear", "relu", "leaky", "logistic", "tanh", "elu", "selu", "hardtan",
                                        "lhtan", "loggy", "ramp", "relie", "plse", "stair"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(names[i], text)) return;
    }
    if (dk_is_our_activation(text)) return;
    dk_fail(DK_BAD_CFG, "unknown activation '%.40s'; known are linear, relu, leaky, logistic, tanh, elu, selu, "
            "hardtan, lhtan, loggy, ramp, relie, plse, stair, %s", text, dk_our_activation_names());
}

static void check_word(const struct dk_key *key, const char *text)
{
    char padded[48] = " ";
    if (!key->words) return;
    strncat(padded, text, sizeof padded - 3);
    strcat(padded, ",");
    if (strstr(key->words, padded)) return;
    dk_fail(DK_BAD_CFG, "%s must be one of%s got '%.40s'", key->name, key->words, text);
}

static void check_value(const struct dk_key *key, const char *text)
{
    int whole;
    double real;
    switch (key->kind) {
    case WHOLE:
        if (!dk_whole(text, &whole)) dk_fail(DK_BAD_CFG, "%s must be a whole number, got '%.40s'", key->name, text);
        check_range(key, text, whole);
        break;
    case REAL:
        if (!dk_number(text, &real)) dk_fail(DK_BAD_CFG, "%s must be a number, got '%.40s'", key->name, text);
        check_range(key, text, real);
        break;
    case ACTIVATION_NAME:
        check_activation(text);
        break;
    case WORD:
        check_word(key, text);
        break;
    case LIST:
    case IGNORED:
        break;
    }
}

const struct dk_kind *dk_section_kind(const struct dk_section *section)
{
    const struct dk_kind *kind = find_kind(section->type);
    if (!kind) dk_fail(DK_BAD_CFG, "unknown section");
    if (!kind->keys) dk_fail(DK_UNSUPPORTED, "this engine runs classifiers and embeddings, it has no such layer");
    return kind;
}

static void check_option(struct dk_section *section, struct dk_option *option, const struct dk_key *keys)
{
    const char *name = option->pair.key;
    const struct dk_key *key = find_key(keys, name);
    if (!key && keys != dk_net_keys) key = find_key(dk_common_keys, name);
    if (!key) dk_fail(DK_BAD_CFG, "unknown key '%.40s'", name);
    for (node *n = section->options->front; n->val != option; n = n->next) {
        if (!strcmp(((struct dk_option *)n->val)->pair.key, name)) dk_fail(DK_BAD_CFG, "%s is given twice", name);
    }
    check_value(key, option->pair.val);
    option->ignored = key->kind == IGNORED;
}

void dk_check_keys(struct dk_section *section)
{
    const struct dk_key *keys = find_kind(section->type)->keys;
    for (node *n = section->options->front; n; n = n->next) {
        struct dk_option *option = n->val;
        dk_current()->line = option->line;
        check_option(section, option, keys);
    }
    dk_at_section(section);
}
