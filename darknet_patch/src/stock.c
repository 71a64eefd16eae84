/* The sections whose layers are upstream's alone: their keys, and what a section must fulfil before upstream
 * makes the layer. */
#include "stock.h"

#include "context.h"
#include "shapes.h"

/* In every section but [net]. What concerns training only may stand there and is ignored. */
const struct dk_key dk_common_keys[] = {
    {"name", WORD, 0, 0, NULL}, {"dontload", SWITCH}, {"dontloadscales", SWITCH}, {"numload", OFF}, {"truth", OFF},
    {"onlyforward", TRAINING}, {"stopbackward", TRAINING}, {"dontsave", TRAINING},
    {"learning_rate", TRAINING}, {"smooth", TRAINING}, END,
};
static const struct dk_key no_keys[] = {END};
const struct dk_key dk_net_keys[] = {
    {"batch", COUNT}, {"subdivisions", COUNT}, {"height", COUNT}, {"width", COUNT}, {"channels", COUNT},
    {"inputs", COUNT}, {"learning_rate", TRAINING}, {"momentum", TRAINING}, {"decay", TRAINING}, {"name", TRAINING},
    {"time_steps", TRAINING}, {"notruth", TRAINING}, {"random", TRAINING}, {"adam", TRAINING},
    {"B1", TRAINING}, {"B2", TRAINING}, {"eps", TRAINING}, {"max_crop", TRAINING},
    {"min_crop", TRAINING}, {"max_ratio", TRAINING}, {"min_ratio", TRAINING},
    {"center", TRAINING}, {"clip", TRAINING}, {"angle", TRAINING}, {"aspect", TRAINING},
    {"saturation", TRAINING}, {"exposure", TRAINING}, {"hue", TRAINING},
    {"policy", TRAINING}, {"burn_in", TRAINING}, {"power", TRAINING}, {"step", TRAINING},
    {"scale", TRAINING}, {"steps", TRAINING}, {"scales", TRAINING}, {"gamma", TRAINING},
    {"max_batches", TRAINING}, END,
};
static const struct dk_key connected_keys[] = {
    {"output", COUNT}, ACTIVATION_KEYS, {"batch_normalize", SWITCH}, END,
};
static const struct dk_key route_keys[] = {{"layers", TEXT}, END};
static const struct dk_key shortcut_keys[] = {
    {"from", SIGNED}, ACTIVATION_KEYS, {"beta", ANY}, END, /* alpha is its own, not elu's */
};
static const struct dk_key activation_keys[] = {ACTIVATION_KEYS, END};
static const struct dk_key upsample_keys[] = {{"stride", COUNT}, {"scale", ANY}, END};
static const struct dk_key reorg_keys[] = {
    {"stride", COUNT}, {"reverse", SWITCH}, {"flatten", SWITCH}, {"extra", OFF}, END,
};
static const struct dk_key crop_keys[] = {
    {"crop_height", COUNT}, {"crop_width", COUNT}, {"noadjust", SWITCH}, {"flip", TRAINING},
    {"angle", TRAINING}, {"saturation", TRAINING}, {"exposure", TRAINING},
    {"shift", TRAINING}, END,
};
static const struct dk_key dropout_keys[] = {{"probability", REAL, 0, 1, NULL}, END};

void dk_check_convolutional(const struct dk_place *p)
{
    int size = dk_int(p->options, "size", 1), stride = dk_int(p->options, "stride", 1);
    int filters = dk_int(p->options, "filters", 1), groups = dk_int(p->options, "groups", 1);
    int padding = dk_int(p->options, "pad", 0) ? size / 2 : dk_int(p->options, "padding", 0);
    dk_need_image(p);
    if (p->c % groups) dk_fail(DK_BAD_CFG, "groups=%d does not divide the %d input channels", groups, p->c);
    if (filters % groups) dk_fail(DK_BAD_CFG, "groups=%d does not divide filters=%d", groups, filters);
    /* upstream turns the weights as if there were C of them for each filter */
    if (groups > 1 && dk_int(p->options, "flipped", 0)) dk_fail(DK_BAD_CFG, "flipped is for one group, got %d", groups);
    int out_h = dk_window_count("height", size, stride, p->h, 2L * padding);
    int out_w = dk_window_count("width", size, stride, p->w, 2L * padding);
    dk_check_size("weights", p->c / groups, filters, size, size, 1);
    dk_check_size("output", dk_max_batch(), filters, out_h, out_w, 1);
    dk_check_size("workspace", p->c, size, size, out_h, out_w);
    /* im2col adds offset, stride and padding in int */
    dk_check_size("padded input", p->h + 2.0 * padding, p->w + 2.0 * padding, 1, 1, 1);
}

void dk_check_deconvolutional(const struct dk_place *p)
{
    int size = dk_int(p->options, "size", 1), stride = dk_int(p->options, "stride", 1);
    int filters = dk_int(p->options, "filters", 1);
    int padding = dk_int(p->options, "pad", 0) ? size / 2 : dk_int(p->options, "padding", 0);
    dk_need_image(p);
    double out_h = (p->h - 1.0) * stride + size - 2.0 * padding, out_w = (p->w - 1.0) * stride + size - 2.0 * padding;
    if (out_h < 1 || out_w < 1) dk_fail(DK_BAD_CFG, "padding=%d leaves no output", padding);
    dk_check_size("weights", p->c, filters, size, size, 1);
    dk_check_size("output", dk_max_batch(), filters, out_h + 2.0 * padding, out_w + 2.0 * padding, 1);
    dk_check_size("workspace", filters, size, size, p->h, p->w);
}

static void check_connected(const struct dk_place *p)
{
    int output = dk_int(p->options, "output", 1);
    dk_check_size("weights", p->inputs, output, 1, 1, 1);
    dk_check_size("output", dk_max_batch(), output, 1, 1, 1);
}

struct outputs {
    const network *net;
    double count;
};

static void add_outputs(void *argument, int index)
{
    struct outputs *outputs = argument;
    outputs->count += outputs->net->layers[index].outputs;
}

static void check_route(const struct dk_place *p)
{
    struct outputs outputs = {p->net, 0};
    dk_layer_list(p, "layers", add_outputs, &outputs);
    dk_check_size("output", dk_max_batch(), outputs.count, 1, 1, 1);
}

static void check_shortcut(const struct dk_place *p)
{
    const char *text = dk_text(p->options, "from");
    if (!text) dk_fail(DK_BAD_CFG, "from is missing");
    dk_need_image(p);
    int index = dk_layer_index(p, "from", text);
    const layer *from = &p->net->layers[index];
    if (from->out_c != p->c || from->out_h != p->h || from->out_w != p->w) {
        dk_fail(DK_BAD_CFG, "adds layer %d of shape %dx%dx%d to the layer before, of shape %dx%dx%d", index,
                from->out_c, from->out_h, from->out_w, p->c, p->h, p->w);
    }
}

void dk_check_softmax(const struct dk_place *p)
{
    int groups = dk_int(p->options, "groups", 1);
    if (p->inputs % groups) dk_fail(DK_BAD_CFG, "groups=%d does not divide the %d inputs", groups, p->inputs);
}

static void check_upsample(const struct dk_place *p)
{
    int stride = dk_int(p->options, "stride", 2);
    dk_need_image(p);
    dk_check_size("output", dk_max_batch(), p->inputs, stride, stride, 1);
}

static void check_reorg(const struct dk_place *p)
{
    int stride = dk_int(p->options, "stride", 1), reverse = dk_int(p->options, "reverse", 0);
    dk_need_image(p);
    dk_check_size("stride", stride, stride, 1, 1, 1);
    if (p->c % (stride * stride)) {
        dk_fail(DK_BAD_CFG, "stride=%d squared does not divide the %d channels", stride, p->c);
    }
    if (!reverse && (p->h % stride || p->w % stride)) {
        dk_fail(DK_BAD_CFG, "stride=%d does not divide the map %dx%d", stride, p->h, p->w);
    }
}

static void check_crop(const struct dk_place *p)
{
    int height = dk_int(p->options, "crop_height", 1), width = dk_int(p->options, "crop_width", 1);
    dk_need_image(p);
    if (height > p->h || width > p->w) {
        dk_fail(DK_BAD_CFG, "a crop of %dx%d is larger than the map %dx%d", height, width, p->h, p->w);
    }
}

static void check_dropout(const struct dk_place *p)
{
    if (!p->index) dk_fail(DK_BAD_CFG, "no layer stands before this one");
}

void dk_check_map(const struct dk_place *p)
{
    dk_need_image(p);
}

#define STOCK(name, alias, keys, check) const struct dk_kind dk_kind_##name = {#name, alias, keys, check, NULL, NULL}
#define REFUSED(name, alias) const struct dk_kind dk_kind_##name = {#name, alias, NULL, NULL, NULL, NULL}

STOCK(net, "network", dk_net_keys, NULL);
STOCK(connected, "conn", connected_keys, check_connected);
STOCK(route, "", route_keys, check_route);
STOCK(shortcut, "", shortcut_keys, check_shortcut);
STOCK(activation, "", activation_keys, NULL);
STOCK(upsample, "", upsample_keys, check_upsample);
STOCK(reorg, "", reorg_keys, check_reorg);
STOCK(crop, "", crop_keys, check_crop);
STOCK(dropout, "", dropout_keys, check_dropout);
STOCK(l2norm, "", no_keys, dk_check_map);

REFUSED(yolo, "");
REFUSED(region, "");
REFUSED(detection, "");
REFUSED(iseg, "");
REFUSED(cost, "");
REFUSED(local, "");
REFUSED(logistic, "");
REFUSED(normalization, "lrn");
REFUSED(rnn, "");
REFUSED(crnn, "");
REFUSED(gru, "");
REFUSED(lstm, "");
