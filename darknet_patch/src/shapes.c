/* The hooks that parser.c calls around each section: check shapes before, tidy up after. */
#include "shapes.h"

#include <limits.h>
#include <string.h>

#include "cfg.h"
#include "context.h"
#include "hooks.h"

/* The section being parsed and what the layer before it gives. */
struct place {
    list *options;
    const network *net;
    int index, inputs, c, h, w;
};

void dk_check_size(const char *what, double a, double b, double c, double d, double e)
{
    double values = a * b * c * d * e;
    if (values > INT_MAX) dk_fail(DK_BAD_CFG, "%s would take %.3g values, the limit is %d", what, values, INT_MAX);
}

void dk_need_image(int inputs, int c, int h, int w)
{
    if (!c || !h || !w) {
        dk_fail(DK_BAD_CFG, "needs channels, height and width, but gets a flat vector of %d values", inputs);
    }
}

int dk_window_count(const char *axis, int size, int stride, int cells, long padding)
{
    long room = cells + padding;
    if (size > room) {
        dk_fail(DK_BAD_CFG, "a window of %d does not fit into the %s of %d with %ld cells of padding", size, axis,
                cells, padding);
    }
    long count = (room - size) / stride + 1;
    if (count > INT_MAX) dk_fail(DK_BAD_CFG, "an output of %ld cells, the limit is %d", count, INT_MAX);
    return (int)count;
}

static int batch(void)
{
    return dk_current()->max_batch;
}

static void check_convolutional(struct place p)
{
    int size = dk_int(p.options, "size", 1), stride = dk_int(p.options, "stride", 1);
    int filters = dk_int(p.options, "filters", 1), groups = dk_int(p.options, "groups", 1);
    int padding = dk_int(p.options, "pad", 0) ? size / 2 : dk_int(p.options, "padding", 0);
    dk_need_image(p.inputs, p.c, p.h, p.w);
    if (p.c % groups) dk_fail(DK_BAD_CFG, "groups=%d does not divide the %d input channels", groups, p.c);
    if (filters % groups) dk_fail(DK_BAD_CFG, "groups=%d does not divide filters=%d", groups, filters);
    int out_h = dk_window_count("height", size, stride, p.h, 2L * padding);
    int out_w = dk_window_count("width", size, stride, p.w, 2L * padding);
    dk_check_size("weights", p.c / groups, filters, size, size, 1);
    dk_check_size("output", batch(), filters, out_h, out_w, 1);
    dk_check_size("workspace", p.c, size, size, out_h, out_w);
    /* im2col adds offset, stride and padding in int */
    dk_check_size("padded input", p.h + 2.0 * padding, p.w + 2.0 * padding, 1, 1, 1);
}

static void check_deconvolutional(struct place p)
{
    int size = dk_int(p.options, "size", 1), stride = dk_int(p.options, "stride", 1);
    int filters = dk_int(p.options, "filters", 1);
    int padding = dk_int(p.options, "pad", 0) ? size / 2 : dk_int(p.options, "padding", 0);
    dk_need_image(p.inputs, p.c, p.h, p.w);
    double out_h = (p.h - 1.0) * stride + size - 2.0 * padding, out_w = (p.w - 1.0) * stride + size - 2.0 * padding;
    if (out_h < 1 || out_w < 1) dk_fail(DK_BAD_CFG, "padding=%d leaves no output", padding);
    dk_check_size("weights", p.c, filters, size, size, 1);
    dk_check_size("output", batch(), filters, out_h + 2.0 * padding, out_w + 2.0 * padding, 1);
    dk_check_size("workspace", filters, size, size, p.h, p.w);
}

static void check_connected(struct place p)
{
    int output = dk_int(p.options, "output", 1);
    dk_check_size("weights", p.inputs, output, 1, 1, 1);
    dk_check_size("output", batch(), output, 1, 1, 1);
}

static void check_avgpool(struct place p)
{
    dk_need_image(p.inputs, p.c, p.h, p.w);
    int size_h = dk_int(p.options, "size_h", dk_int(p.options, "size", p.h));
    int size_w = dk_int(p.options, "size_w", dk_int(p.options, "size", p.w));
    if (size_h != p.h || size_w != p.w) {
        dk_fail(DK_BAD_CFG, "averages whole maps only: the window is %dx%d, the map %dx%d", size_h, size_w, p.h, p.w);
    }
}

static int check_index(const char *key, const char *text, int index)
{
    int layer;
    if (!dk_whole(text, &layer)) dk_fail(DK_BAD_CFG, "%s must be whole numbers, got '%.40s'", key, text);
    int absolute = layer < 0 ? index + layer : layer;
    if (!index) dk_fail(DK_BAD_CFG, "%s=%.40s: no layer stands before this one", key, text);
    if (absolute < 0 || absolute >= index) {
        dk_fail(DK_BAD_CFG, "%s=%.40s: only the layers 0 to %d stand before this one", key, text, index - 1);
    }
    return absolute;
}

static void check_route(struct place p)
{
    const char *text = dk_text(p.options, "layers");
    if (!text) dk_fail(DK_BAD_CFG, "layers is missing");
    double outputs = 0;
    for (const char *from = text; from;) {
        char number[24] = "";
        size_t length = strcspn(from, ",");
        memcpy(number, from, length < sizeof number ? length : sizeof number - 1);
        outputs += p.net->layers[check_index("layers", number, p.index)].outputs;
        from = from[length] ? from + length + 1 : NULL;
    }
    dk_check_size("output", batch(), outputs, 1, 1, 1);
}

static void check_shortcut(struct place p)
{
    const char *text = dk_text(p.options, "from");
    if (!text) dk_fail(DK_BAD_CFG, "from is missing");
    dk_need_image(p.inputs, p.c, p.h, p.w);
    int index = check_index("from", text, p.index);
    const layer *from = &p.net->layers[index];
    if (from->out_c != p.c || from->out_h != p.h || from->out_w != p.w) {
        dk_fail(DK_BAD_CFG, "adds layer %d of shape %dx%dx%d to the layer before, of shape %dx%dx%d", index,
                from->out_c, from->out_h, from->out_w, p.c, p.h, p.w);
    }
}

static void check_softmax(struct place p)
{
    int groups = dk_int(p.options, "groups", 1);
    if (p.inputs % groups) dk_fail(DK_BAD_CFG, "groups=%d does not divide the %d inputs", groups, p.inputs);
}

static void check_upsample(struct place p)
{
    int stride = dk_int(p.options, "stride", 2);
    dk_need_image(p.inputs, p.c, p.h, p.w);
    dk_check_size("output", batch(), p.inputs, stride, stride, 1);
}

static void check_reorg(struct place p)
{
    int stride = dk_int(p.options, "stride", 1), reverse = dk_int(p.options, "reverse", 0);
    dk_need_image(p.inputs, p.c, p.h, p.w);
    dk_check_size("stride", stride, stride, 1, 1, 1);
    if (p.c % (stride * stride)) {
        dk_fail(DK_BAD_CFG, "stride=%d squared does not divide the %d channels", stride, p.c);
    }
    if (!reverse && (p.h % stride || p.w % stride)) {
        dk_fail(DK_BAD_CFG, "stride=%d does not divide the map %dx%d", stride, p.h, p.w);
    }
}

static void check_crop(struct place p)
{
    int height = dk_int(p.options, "crop_height", 1), width = dk_int(p.options, "crop_width", 1);
    dk_need_image(p.inputs, p.c, p.h, p.w);
    if (height > p.h || width > p.w) {
        dk_fail(DK_BAD_CFG, "a crop of %dx%d is larger than the map %dx%d", height, width, p.h, p.w);
    }
}

static void check_dropout(struct place p)
{
    if (!p.index) dk_fail(DK_BAD_CFG, "no layer stands before this one");
}

static void check_map(struct place p)
{
    dk_need_image(p.inputs, p.c, p.h, p.w);
}

static void check_name(struct place p)
{
    const char *name = dk_text(p.options, "name");
    int number;
    if (name && dk_whole(name, &number)) dk_fail(DK_BAD_CFG, "name=%.64s would be taken for a layer's index", name);
    for (int i = 0; name && i < p.index; i++) {
        const char *other = p.net->layers[i].dk->name;
        if (other && !strcmp(other, name)) dk_fail(DK_BAD_CFG, "name=%.64s belongs to layer %d already", name, i);
    }
}

static const struct {
    const char *type;
    void (*check)(struct place);
} checks[] = {
    {"convolutional", check_convolutional}, {"deconvolutional", check_deconvolutional},
    {"connected", check_connected}, {"avgpool", check_avgpool}, {"route", check_route},
    {"shortcut", check_shortcut}, {"softmax", check_softmax}, {"upsample", check_upsample},
    {"reorg", check_reorg}, {"crop", check_crop}, {"dropout", check_dropout}, {"batchnorm", check_map},
    {"l2norm", check_map}, {"maxpool", check_map}, {"slice", check_map},
};

void dk_begin_layer(void *section, network *net, int index, int inputs, int c, int h, int w)
{
    struct dk_section *s = section;
    dk_at_section(s);
    const char *type = dk_section_name(s);
    dk_check_keys(s);
    if (!strcmp(type, "net")) dk_fail(DK_BAD_CFG, "only the first section may be [net]");
    struct place place = {s->options, net, index, inputs, c, h, w};
    check_name(place);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (!strcmp(checks[i].type, type)) checks[i].check(place);
    }
}

static void drop(float **buffer)
{
    dk_release(*buffer);
    *buffer = NULL;
}

void dk_end_layer(void *section, layer *l, int c, int h, int w)
{
    struct dk_section *s = section;
    /* What only training reads; calloc gave pages that were never touched. */
    float **training[] = {&l->delta, &l->weight_updates, &l->bias_updates, &l->scale_updates, &l->x, &l->x_norm,
                          &l->mean, &l->variance, &l->mean_delta, &l->variance_delta, &l->rand, &l->loss};
    for (size_t i = 0; i < sizeof training / sizeof *training; i++) drop(training[i]);
    if (l->type == SOFTMAX) { /* upstream leaves these 0 */
        l->out_c = c;
        l->out_h = h;
        l->out_w = w;
    }
    if (!l->dk) l->dk = dk_calloc(1, sizeof *l->dk);
    l->dk->type = dk_section_name(s);
    const char *name = dk_text(s->options, "name");
    if (name) {
        l->dk->name = dk_calloc(strlen(name) + 1, 1);
        strcpy(l->dk->name, name);
    }
    dk_current()->line = 0;
}

void dk_begin_net(void *section, network *net)
{
    struct dk_section *s = section;
    dk_at_section(s);
    if (strcmp(s->type, "[net]") && strcmp(s->type, "[network]")) dk_fail(DK_BAD_CFG, "the first section must be [net]");
    dk_check_keys(s);
    int c = dk_int(s->options, "channels", 0), h = dk_int(s->options, "height", 0);
    int w = dk_int(s->options, "width", 0), inputs = dk_int(s->options, "inputs", 0);
    if (!!c != !!h || !!c != !!w || (!c && !inputs)) {
        dk_fail(DK_BAD_CFG, "needs channels, height and width, or inputs");
    }
    if (c) dk_check_size("input", batch(), c, h, w, 1);
    if (inputs) dk_check_size("input", batch(), inputs, 1, 1, 1);
    if (c && inputs && inputs != c * h * w) {
        dk_fail(DK_BAD_CFG, "inputs=%d contradicts channels * height * width = %d", inputs, c * h * w);
    }
    (void)net;
}

/* The caller of dk_load says how many images run at once, not the cfg. */
void dk_end_net(network *net)
{
    net->batch = batch();
    net->subdivisions = 1;
}
