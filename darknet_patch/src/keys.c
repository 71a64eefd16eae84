/* The sections and keys of this engine's cfg, as data, and the check of a section against them. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "cfg.h"
#include "context.h"

enum kind { WHOLE = 1, REAL, ACTIVATION_NAME, LAYERS, WORD, IGNORED };

struct key {
    const char *name;
    enum kind kind;
    double low, high;
};

#define COUNT WHOLE, 1, INT_MAX
#define CELLS WHOLE, 0, INT_MAX
#define SIGNED WHOLE, INT_MIN, INT_MAX
#define SWITCH WHOLE, 0, 1
#define OFF WHOLE, 0, 0
#define ANY REAL, -HUGE_VAL, HUGE_VAL

/* In every section but [net]. What concerns training only may stand there and is ignored. */
static const struct key common_keys[] = {
    {"name", WORD, 0, 0}, {"dontload", SWITCH}, {"dontloadscales", SWITCH}, {"numload", OFF}, {"truth", OFF},
    {"onlyforward", IGNORED, 0, 0}, {"stopbackward", IGNORED, 0, 0}, {"dontsave", IGNORED, 0, 0},
    {"learning_rate", IGNORED, 0, 0}, {"smooth", IGNORED, 0, 0}, {NULL, 0, 0, 0},
};
static const struct key no_keys[] = {{NULL, 0, 0, 0}};
static const struct key net_keys[] = {
    {"batch", COUNT}, {"subdivisions", COUNT}, {"height", COUNT}, {"width", COUNT}, {"channels", COUNT},
    {"inputs", COUNT}, {"learning_rate", IGNORED, 0, 0}, {"momentum", IGNORED, 0, 0}, {"decay", IGNORED, 0, 0},
    {"time_steps", IGNORED, 0, 0}, {"notruth", IGNORED, 0, 0}, {"random", IGNORED, 0, 0}, {"adam", IGNORED, 0, 0},
    {"B1", IGNORED, 0, 0}, {"B2", IGNORED, 0, 0}, {"eps", IGNORED, 0, 0}, {"max_crop", IGNORED, 0, 0},
    {"min_crop", IGNORED, 0, 0}, {"max_ratio", IGNORED, 0, 0}, {"min_ratio", IGNORED, 0, 0},
    {"center", IGNORED, 0, 0}, {"clip", IGNORED, 0, 0}, {"angle", IGNORED, 0, 0}, {"aspect", IGNORED, 0, 0},
    {"saturation", IGNORED, 0, 0}, {"exposure", IGNORED, 0, 0}, {"hue", IGNORED, 0, 0},
    {"policy", IGNORED, 0, 0}, {"burn_in", IGNORED, 0, 0}, {"power", IGNORED, 0, 0}, {"step", IGNORED, 0, 0},
    {"scale", IGNORED, 0, 0}, {"steps", IGNORED, 0, 0}, {"scales", IGNORED, 0, 0}, {"gamma", IGNORED, 0, 0},
    {"max_batches", IGNORED, 0, 0}, {NULL, 0, 0, 0},
};
static const struct key convolutional_keys[] = {
    {"filters", COUNT}, {"size", COUNT}, {"stride", COUNT}, {"pad", CELLS}, {"padding", CELLS}, {"groups", COUNT},
    {"activation", ACTIVATION_NAME, 0, 0}, {"batch_normalize", SWITCH}, {"flipped", SWITCH}, {"binary", OFF},
    {"xnor", OFF}, {"dot", IGNORED, 0, 0}, {NULL, 0, 0, 0},
};
static const struct key deconvolutional_keys[] = {
    {"filters", COUNT}, {"size", COUNT}, {"stride", COUNT}, {"pad", CELLS}, {"padding", CELLS},
    {"activation", ACTIVATION_NAME, 0, 0}, {"batch_normalize", SWITCH}, {NULL, 0, 0, 0},
};
static const struct key connected_keys[] = {
    {"output", COUNT}, {"activation", ACTIVATION_NAME, 0, 0}, {"batch_normalize", SWITCH}, {NULL, 0, 0, 0},
};
static const struct key maxpool_keys[] = {
    {"size", COUNT}, {"stride", COUNT}, {"padding", CELLS}, {"size_h", COUNT}, {"size_w", COUNT},
    {"stride_h", COUNT}, {"stride_w", COUNT}, {"padding_h", CELLS}, {"padding_w", CELLS},
    {"padding_bottom", CELLS}, {"padding_right", CELLS}, {NULL, 0, 0, 0},
};
static const struct key avgpool_keys[] = {
    {"size", COUNT}, {"stride", COUNT}, {"padding", OFF}, {"size_h", COUNT}, {"size_w", COUNT},
    {"stride_h", COUNT}, {"stride_w", COUNT}, {NULL, 0, 0, 0},
};
static const struct key slice_keys[] = {
    {"slice_axis", WHOLE, 0, 3}, {"slice_num", CELLS}, {"slice_pos", CELLS}, {"slice_begin", SIGNED},
    {"slice_end", SIGNED}, {NULL, 0, 0, 0},
};
static const struct key route_keys[] = {{"layers", LAYERS, 0, 0}, {NULL, 0, 0, 0}};
static const struct key shortcut_keys[] = {
    {"from", SIGNED}, {"activation", ACTIVATION_NAME, 0, 0}, {"alpha", ANY}, {"beta", ANY}, {NULL, 0, 0, 0},
};
static const struct key activation_keys[] = {{"activation", ACTIVATION_NAME, 0, 0}, {NULL, 0, 0, 0}};
static const struct key softmax_keys[] = {
    {"groups", COUNT}, {"temperature", REAL, 1e-30, HUGE_VAL}, {"spatial", OFF}, {"noloss", SWITCH}, {NULL, 0, 0, 0},
};
static const struct key upsample_keys[] = {{"stride", COUNT}, {"scale", ANY}, {NULL, 0, 0, 0}};
static const struct key reorg_keys[] = {
    {"stride", COUNT}, {"reverse", SWITCH}, {"flatten", SWITCH}, {"extra", OFF}, {NULL, 0, 0, 0},
};
static const struct key crop_keys[] = {
    {"crop_height", COUNT}, {"crop_width", COUNT}, {"noadjust", SWITCH}, {"flip", IGNORED, 0, 0},
    {"angle", IGNORED, 0, 0}, {"saturation", IGNORED, 0, 0}, {"exposure", IGNORED, 0, 0},
    {"shift", IGNORED, 0, 0}, {NULL, 0, 0, 0},
};
static const struct key dropout_keys[] = {{"probability", REAL, 0, 1}, {NULL, 0, 0, 0}};

/* Sections without keys of their own have `no_keys`; those that the engine refuses by name have NULL. */
static const struct {
    const char *name, *alias;
    const struct key *keys;
} kinds[] = {
    {"net", "network", net_keys}, {"convolutional", "conv", convolutional_keys}, {"deconvolutional", "deconv", deconvolutional_keys},
    {"connected", "conn", connected_keys}, {"maxpool", "max", maxpool_keys}, {"avgpool", "avg", avgpool_keys},
    {"slice", "", slice_keys}, {"route", "", route_keys}, {"shortcut", "", shortcut_keys}, {"activation", "", activation_keys},
    {"softmax", "soft", softmax_keys}, {"upsample", "", upsample_keys}, {"reorg", "", reorg_keys}, {"crop", "", crop_keys},
    {"dropout", "", dropout_keys}, {"batchnorm", "", no_keys}, {"l2norm", "", no_keys},
    {"yolo", "", NULL}, {"region", "", NULL}, {"detection", "", NULL}, {"iseg", "", NULL}, {"cost", "", NULL},
    {"local", "", NULL}, {"logistic", "", NULL}, {"normalization", "lrn", NULL}, {"rnn", "", NULL},
    {"crnn", "", NULL}, {"gru", "", NULL}, {"lstm", "", NULL},
};

static int find_kind(const char *type)
{
    size_t length = strlen(type) - 2;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *names[] = {kinds[i].name, kinds[i].alias};
        for (int j = 0; j < 2; j++) {
            if (strlen(names[j]) == length && !strncmp(names[j], type + 1, length)) return (int)i;
        }
    }
    return -1;
}

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (; keys->name; keys++) {
        if (!strcmp(keys->name, name)) return keys;
    }
    return NULL;
}

static void check_range(const struct key *key, const char *text, double value)
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
    dk_fail(DK_BAD_CFG, "unknown activation '%.40s'; known are linear, relu, leaky, logistic, tanh, elu, selu, "
            "hardtan, lhtan, loggy, ramp, relie, plse, stair", text);
}

static void check_value(const struct key *key, const char *text)
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
    case LAYERS: /* read where the layer's index is known, in shapes.c */
    case WORD:
    case IGNORED:
        break;
    }
}

const char *dk_section_name(const struct dk_section *section)
{
    int kind = find_kind(section->type);
    if (kind < 0) dk_fail(DK_BAD_CFG, "unknown section");
    if (!kinds[kind].keys) dk_fail(DK_UNSUPPORTED, "this engine runs classifiers and embeddings, it has no such layer");
    return kinds[kind].name;
}

static void check_option(struct dk_section *section, struct dk_option *option, const struct key *keys)
{
    const char *name = option->pair.key;
    const struct key *key = find_key(keys, name);
    if (!key && keys != net_keys) key = find_key(common_keys, name);
    if (!key) dk_fail(DK_BAD_CFG, "unknown key '%.40s'", name);
    for (node *n = section->options->front; n->val != option; n = n->next) {
        if (!strcmp(((struct dk_option *)n->val)->pair.key, name)) dk_fail(DK_BAD_CFG, "%s is given twice", name);
    }
    check_value(key, option->pair.val);
    option->ignored = key->kind == IGNORED;
}

void dk_check_keys(struct dk_section *section)
{
    const struct key *keys = kinds[find_kind(section->type)].keys;
    for (node *n = section->options->front; n; n = n->next) {
        struct dk_option *option = n->val;
        dk_current()->line = option->line;
        check_option(section, option, keys);
    }
    dk_at_section(section);
}
