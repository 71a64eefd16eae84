/* Convolutions by oneDNN on maps that lie H, W, C. */
#include "convolution.h"

#if defined(DK_ONEDNN)
#include <string.h>

#include "oneapi/dnnl/dnnl.h"

/* One primitive for each of: with or without a sum before, with or without a slope behind. */
struct fast {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t source, target, packed, biases;
    dnnl_primitive_t primitives[2][2];
    dnnl_memory_t source_memory, target_memory, weights_memory, biases_memory, slope_memory, scratch_memory[2][2];
    size_t scratch[2][2]; /* bytes */
    float slope;
};

static void check(dnnl_status_t status)
{
    if (status == dnnl_out_of_memory) dk_fail(DK_NO_MEMORY, "out of memory in oneDNN");
    if (status != dnnl_success) dk_fail(DK_BAD_CALL, "oneDNN gave up with status %d", (int)status);
}

static void release(void *object)
{
    struct fast *fast = object;
    for (int i = 0; i < 4; i++) {
        if (fast->primitives[i / 2][i % 2]) dnnl_primitive_destroy(fast->primitives[i / 2][i % 2]);
        if (fast->scratch_memory[i / 2][i % 2]) dnnl_memory_destroy(fast->scratch_memory[i / 2][i % 2]);
    }
    dnnl_memory_t memories[] = {fast->source_memory, fast->target_memory, fast->weights_memory, fast->biases_memory,
                                fast->slope_memory};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    }
    dnnl_memory_desc_t descriptions[] = {fast->source, fast->target, fast->packed, fast->biases};
    for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++) {
        if (descriptions[i]) dnnl_memory_desc_destroy(descriptions[i]);
    }
    if (fast->stream) dnnl_stream_destroy(fast->stream);
    if (fast->engine) dnnl_engine_destroy(fast->engine);
}

/* The sum and the slope as what follows the convolution; scratch memory is ours, since oneDNN's own is shared by
 * networks that other threads may be running. relu goes as slope 0 of prelu: oneDNN's relu makes 0 of a NaN. */
static dnnl_primitive_attr_t attributes(int add, int sloped)
{
    dnnl_primitive_attr_t made = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&made);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(made, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = dnnl_post_ops_create(&after);
    if (status == dnnl_success && add) status = dnnl_post_ops_append_sum(after, 1, 0, dnnl_f32);
    if (status == dnnl_success && sloped) status = dnnl_post_ops_append_prelu(after, 0);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(made, after);
    if (after) dnnl_post_ops_destroy(after);
    if (status != dnnl_success && made) dnnl_primitive_attr_destroy(made);
    check(status);
    return made;
}

/* NULL where oneDNN has but its reference code, which is slower than a matrix product. */
static dnnl_primitive_desc_t describe(const struct dk_convolution *k, const struct fast *fast,
                                      const_dnnl_memory_desc_t weights, int add, int sloped)
{
    const struct dk_slide *y = &k->filters.y, *x = &k->filters.x;
    dnnl_dims_t strides = {y->stride, x->stride}, dilation = {y->dilation - 1, x->dilation - 1};
    dnnl_dims_t before = {y->padding, x->padding}, after;
    const struct dk_slide *axes[] = {y, x};
    for (int i = 0; i < 2; i++) { /* positions are rounded down: the last cells may be left over */
        const struct dk_slide *a = axes[i];
        long used = (long)(a->count - 1) * a->stride + (long)(a->size - 1) * a->dilation + 1;
        after[i] = used - a->cells - a->padding;
    }
    dnnl_primitive_attr_t how = attributes(add, sloped);
    dnnl_primitive_desc_t made = NULL;
    dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
        &made, fast->engine, dnnl_forward_inference, dnnl_convolution_direct, fast->source, weights, fast->biases,
        fast->target, strides, dilation, before, after, how);
    dnnl_primitive_attr_destroy(how);
    const char *name = "ref";
    if (status == dnnl_success) dnnl_primitive_desc_query(made, dnnl_query_impl_info_str, 0, &name);
    if (!strncmp(name, "ref", 3)) {
        if (made) dnnl_primitive_desc_destroy(made);
        return NULL;
    }
    return made;
}

/* Weights laid out as `four` says, or as `five` with the groups as another axis in front. */
static dnnl_memory_desc_t describe_weights(const struct dk_convolution *k, dnnl_format_tag_t four,
                                           dnnl_format_tag_t five)
{
    const struct dk_filters *f = &k->filters;
    dnnl_dim_t g = f->groups, filters = f->count, channels = k->channels;
    dnnl_dims_t whole = {filters, channels, f->y.size, f->x.size};
    dnnl_dims_t split = {g, filters / g, channels / g, f->y.size, f->x.size};
    dnnl_memory_desc_t made = NULL;
    if (g == 1) check(dnnl_memory_desc_create_with_tag(&made, 4, whole, dnnl_f32, four));
    else check(dnnl_memory_desc_create_with_tag(&made, 5, split, dnnl_f32, five));
    return made;
}

static int make(struct dk_convolution *k)
{
    const struct dk_filters *f = &k->filters;
    struct fast *fast = dk_calloc(1, sizeof *fast);
    dk_on_clear(release, fast);
    check(dnnl_engine_create(&fast->engine, dnnl_cpu, 0));
    check(dnnl_stream_create(&fast->stream, fast->engine, dnnl_stream_default_flags));
    dnnl_dims_t source = {1, k->channels, f->y.cells, f->x.cells}, target = {1, f->count, f->y.count, f->x.count};
    dnnl_dims_t filters = {f->count};
    check(dnnl_memory_desc_create_with_tag(&fast->source, 4, source, dnnl_f32, dnnl_acdb));
    check(dnnl_memory_desc_create_with_tag(&fast->target, 4, target, dnnl_f32, dnnl_acdb));
    check(dnnl_memory_desc_create_with_tag(&fast->biases, 1, filters, dnnl_f32, dnnl_a));
    dnnl_memory_desc_t any = describe_weights(k, dnnl_format_tag_any, dnnl_format_tag_any);
    dnnl_primitive_desc_t found = describe(k, fast, any, 0, 0);
    dnnl_memory_desc_destroy(any);
    if (!found) return 0;
    dnnl_status_t status =
        dnnl_memory_desc_clone(&fast->packed, dnnl_primitive_desc_query_md(found, dnnl_query_weights_md, 0));
    dnnl_primitive_desc_destroy(found);
    check(status);
    k->made = fast;
    return 1;
}

static size_t packed_count(const struct dk_convolution *k)
{
    const struct fast *fast = k->made;
    return (dnnl_memory_desc_get_size(fast->packed) + sizeof(float) - 1) / sizeof(float);
}

static dnnl_status_t reorder(struct fast *fast, const_dnnl_memory_desc_t from, const float *weights)
{
    dnnl_memory_t file = NULL;
    dnnl_primitive_desc_t found = NULL;
    dnnl_primitive_t moving = NULL;
    dnnl_status_t status = dnnl_memory_create(&file, from, fast->engine, (void *)weights);
    if (status == dnnl_success) {
        status = dnnl_reorder_primitive_desc_create(&found, from, fast->engine, fast->packed, fast->engine, NULL);
    }
    if (status == dnnl_success) status = dnnl_primitive_create(&moving, found);
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, file}, {DNNL_ARG_TO, fast->weights_memory}};
    if (status == dnnl_success) status = dnnl_primitive_execute(moving, fast->stream, 2, arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(fast->stream);
    if (moving) dnnl_primitive_destroy(moving);
    if (found) dnnl_primitive_desc_destroy(found);
    if (file) dnnl_memory_destroy(file);
    return status;
}

static void pack(const struct dk_convolution *k, const float *weights)
{
    struct fast *fast = k->made;
    dnnl_dims_t one = {1, 1, 1, 1};
    dnnl_memory_desc_t single = NULL;
    check(dnnl_memory_create(&fast->weights_memory, fast->packed, fast->engine, k->weights));
    check(dnnl_memory_create(&fast->biases_memory, fast->biases, fast->engine, k->biases));
    check(dnnl_memory_create(&fast->source_memory, fast->source, fast->engine, DNNL_MEMORY_NONE));
    check(dnnl_memory_create(&fast->target_memory, fast->target, fast->engine, DNNL_MEMORY_NONE));
    check(dnnl_memory_desc_create_with_tag(&single, 4, one, dnnl_f32, dnnl_abcd));
    dnnl_status_t status = dnnl_memory_create(&fast->slope_memory, single, fast->engine, &fast->slope);
    dnnl_memory_desc_destroy(single);
    check(status);
    dnnl_memory_desc_t from = describe_weights(k, dnnl_abcd, dnnl_abcde);
    status = reorder(fast, from, weights);
    dnnl_memory_desc_destroy(from);
    check(status);
}

static int get_ready(const struct dk_convolution *k, int add, int sloped)
{
    struct fast *fast = k->made;
    if (fast->primitives[add][sloped]) return 1;
    dnnl_primitive_desc_t found = describe(k, fast, fast->packed, add, sloped);
    if (!found) return 0;
    const_dnnl_memory_desc_t scratch = dnnl_primitive_desc_query_md(found, dnnl_query_scratchpad_md, 0);
    fast->scratch[add][sloped] = dnnl_memory_desc_get_size(scratch);
    dnnl_status_t status =
        dnnl_memory_create(&fast->scratch_memory[add][sloped], scratch, fast->engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success) status = dnnl_primitive_create(&fast->primitives[add][sloped], found);
    dnnl_primitive_desc_destroy(found);
    check(status);
    return 1;
}

static void run(const struct dk_convolution *k, const float *in, float *out, int add, float slope, float *workspace)
{
    (void)workspace;
    struct fast *fast = k->made;
    int sloped = slope != 1;
    float *scratch = dk_scratch(fast->scratch[add][sloped] / sizeof(float) + 1);
    fast->slope = slope;
    check(dnnl_memory_set_data_handle(fast->source_memory, (void *)in));
    check(dnnl_memory_set_data_handle(fast->target_memory, out));
    check(dnnl_memory_set_data_handle(fast->scratch_memory[add][sloped], scratch));
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, fast->source_memory}, {DNNL_ARG_WEIGHTS, fast->weights_memory},
        {DNNL_ARG_BIAS, fast->biases_memory}, {DNNL_ARG_DST, fast->target_memory},
        {DNNL_ARG_SCRATCHPAD, fast->scratch_memory[add][sloped]},
        {DNNL_ARG_ATTR_MULTIPLE_POST_OP(add) | DNNL_ARG_WEIGHTS, fast->slope_memory},
    };
    check(dnnl_primitive_execute(fast->primitives[add][sloped], fast->stream, sloped ? 6 : 5, arguments));
    check(dnnl_stream_wait(fast->stream));
}

const struct dk_way dk_onednn_way = {
    .takes_last = 1, .make = make, .packed_count = packed_count, .pack = pack, .get_ready = get_ready, .run = run,
};
#endif
