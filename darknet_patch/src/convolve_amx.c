/* Convolutions by AMX (amx_tiles.h) on maps that lie H, W, C.
 *
 * A sum runs over all taps of all channels, in groups of 32 channels of one tap. The output is made in bands of
 * rows, the input cut in slabs of groups. What a band sees of a slab is cut into planes, one for each column of
 * taps, in which the pixels that a tap sees follow each other as the output's pixels do. Weights stay float32
 * and are cut, a chunk of a panel of 32 filters at a time, right before all pixels of the band are multiplied
 * with them. The chunks' sums are added to the output.
 */
#include "amx_tiles.h"

#if defined(DK_AMX)
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "convolution.h"

/* Pixels of a band; bytes of a slab, which shares the cache of a core with the output; the most of one group. */
enum { BAND = 384, SLAB = 640 << 10, MOST = 8 << 20 };

struct plan {
    int groups, slab; /* groups of channels, in all and in a slab */
    int panels, planes;
    int band;         /* rows of the output */
    size_t pixels;    /* of one plane */
};

/* One slab of one band of a run. */
struct work {
    const struct dk_convolution *k;
    const float *in;
    float *out;
    int add;
    float slope;
    int first, groups, row, rows;
    char *planes; /* [plane][group][part][pixel][32] */
};

static int divide_up(int a, int b)
{
    return (a + b - 1) / b;
}

static int min(int a, int b)
{
    return a < b ? a : b;
}

static int taps(const struct dk_convolution *k)
{
    return k->filters.y.size * k->filters.x.size;
}

/* Whether tiles can be used, and most of each would be. */
static int is_worth_it(const struct dk_convolution *k, int groups, int panels)
{
    const struct dk_filters *f = &k->filters;
    double filled = (double)k->channels * f->count / ((double)groups * panels * BLOCK);
    return f->groups == 1 && filled > 0.8 && (long)f->y.count * f->x.count >= SIDE;
}

static int make(struct dk_convolution *k)
{
    const struct dk_slide *y = &k->filters.y, *x = &k->filters.x;
    struct plan made = {.groups = divide_up(k->channels, SIDE), .panels = divide_up(k->filters.count, SIDE)};
    if (!is_worth_it(k, made.groups, made.panels) || dk_current()->no_amx || !dk_has_amx()) return 0;
    int shared = y->stride == 1; /* a plane by all taps of a column */
    made.planes = x->size * (shared ? 1 : y->size);
    made.band = min(y->count, divide_up(BAND, x->count));
    size_t below = shared ? (size_t)(y->size - 1) * (size_t)y->dilation * (size_t)x->count : 0;
    made.pixels = ((size_t)divide_up(made.band * x->count, SIDE) * SIDE + below) | 1; /* odd: spreads cache sets */
    size_t group = made.pixels * ROW * PARTS * (size_t)made.planes;
    if (group > MOST) return 0;
    for (made.slab = 1; made.slab < made.groups && 2 * (size_t)made.slab * group <= SLAB;) made.slab *= 2;
    made.slab = min(made.slab, made.groups);
    struct plan *kept = dk_calloc(1, sizeof *kept);
    *kept = made;
    k->made = kept;
    return 1;
}

static const struct plan *plan_of(const struct dk_convolution *k)
{
    return k->made;
}

static size_t packed_count(const struct dk_convolution *k)
{
    const struct plan *plan = plan_of(k);
    return (size_t)plan->groups * (size_t)plan->panels * (size_t)taps(k) * BLOCK;
}

/* One group of one tap of a panel: to[half of the panel][channel 0 to 15][that one, that + 16][16 filters] */
static void pack_group(const struct dk_convolution *k, const float *weights, int panel, int tap, int group, float *to)
{
    int filters = min(SIDE, k->filters.count - panel * SIDE), channels = min(SIDE, k->channels - group * SIDE);
    size_t count = (size_t)taps(k), filter = (size_t)k->channels * count;
    const float *from = weights + (size_t)panel * SIDE * filter + (size_t)group * SIDE * count + (size_t)tap;
    if (filters < SIDE || channels < SIDE) memset(to, 0, BLOCK * sizeof *to);
    for (int i = 0; i < filters; i++, from += filter) {
        float *column = to + i / 16 * (BLOCK / 2) + i % 16;
        for (int c = 0; c < channels; c++) column[c % 16 * 32 + c / 16 * 16] = from[(size_t)c * count];
    }
}

/* packed[slab][panel][tap][group of the slab] */
static void pack(const struct dk_convolution *k, const float *weights)
{
    const struct plan *plan = plan_of(k);
    for (int first = 0; first < plan->groups; first += plan->slab) {
        int groups = min(plan->slab, plan->groups - first), steps = taps(k) * groups;
        float *to = k->weights + (size_t)first * (size_t)(plan->panels * taps(k)) * BLOCK;
#pragma omp parallel for if ((size_t)(plan->panels * steps) * BLOCK > DK_MANY)
        for (int i = 0; i < plan->panels * steps; i++) {
            int panel = i / steps, tap = i % steps / groups, group = first + i % groups;
            pack_group(k, weights, panel, tap, group, to + (size_t)i * BLOCK);
        }
    }
}

/* One row of one plane. */
static void cut_row(const struct work *w, int plane, int row)
{
    const struct plan *plan = plan_of(w->k);
    const struct dk_slide *y = &w->k->filters.y, *x = &w->k->filters.x;
    int channels = w->k->channels, shift = plane % x->size * x->dilation - x->padding;
    int cell_y = (w->row + row) * y->stride - y->padding + plane / x->size * y->dilation;
    int inside = cell_y >= 0 && cell_y < y->cells;
    /* positions from begin to end see cells of the row */
    int begin = min(x->count, shift < 0 ? divide_up(-shift, x->stride) : 0);
    int end = shift < x->cells ? min(x->count, divide_up(x->cells - shift, x->stride)) : 0;
    if (!inside || end < begin) begin = end = x->count;
    size_t part = plan->pixels * ROW;
    char *to = w->planes + ((size_t)(plane * plan->slab) * PARTS * plan->pixels + (size_t)(row * x->count)) * ROW;
    for (int g = 0; g < w->groups; g++, to += PARTS * part) {
        int channel = (w->first + g) * SIDE;
        dk_cut_pixels(NULL, 0, begin, 0, to, part);
        if (begin < end) {
            const float *from = w->in + ((ptrdiff_t)cell_y * x->cells + begin * x->stride + shift) * channels + channel;
            ptrdiff_t step = (ptrdiff_t)x->stride * channels;
            dk_cut_pixels(from, step, end - begin, min(SIDE, channels - channel), to + begin * ROW, part);
        }
        dk_cut_pixels(NULL, 0, x->count - end, 0, to + end * ROW, part);
    }
}

/* Where the pixels lie that the band's pixels from `first` on see in a step of the slab. */
static const char *seen(const struct work *w, int step, int first)
{
    const struct plan *plan = plan_of(w->k);
    const struct dk_slide *y = &w->k->filters.y, *x = &w->k->filters.x;
    int tap = step / w->groups, shared = y->stride == 1, plane = shared ? tap % x->size : tap;
    int down = shared ? tap / x->size * y->dilation * x->count : 0;
    size_t group = (size_t)(plane * plan->slab + step % w->groups);
    return w->planes + (group * PARTS * plan->pixels + (size_t)(down + first)) * ROW;
}

/* The slab's part of a panel of filters. `own` is room for a chunk's weights and two blocks' sums. */
static void run_panel(const struct work *w, int panel, char *own)
{
    const struct dk_convolution *k = w->k;
    int steps = taps(k) * w->groups, chunks = divide_up(steps, CHUNK), filters = k->filters.count, turn = 0;
    int positions = w->rows * k->filters.x.count;
    float *values = (float *)(own + CHUNK * GROUP);
    const float *weights = k->weights + ((size_t)w->first * (size_t)(plan_of(k)->panels * taps(k)) +
                                         (size_t)panel * (size_t)steps) * BLOCK;
    float *out = w->out + (size_t)(w->row * k->filters.x.count) * (size_t)filters + panel * SIDE;
    struct dk_sums before = {0}, now = {.width = min(SIDE, filters - panel * SIDE), .filters = filters};
    struct dk_chunk chunk = {.weights = own, .stride = plan_of(k)->pixels * ROW};
    chunk.lines = divide_up(BLOCK * (int)sizeof(float) / 64, divide_up(positions, SIDE));
    for (int c = 0; c < chunks; c++) {
        int from = c * CHUNK, to = min(from + CHUNK, steps);
        int is_first = !w->first && !c, is_last = w->first + w->groups == plan_of(k)->groups && c == chunks - 1;
        now.biases = is_first ? k->biases + panel * SIDE : NULL;
        now.add = w->add || !is_first;
        now.slope = is_last ? w->slope : 1;
        chunk.groups = to - from;
        chunk.fetch = (const char *)(weights + (size_t)to * BLOCK); /* the next chunk */
        dk_cut_weights(weights + (size_t)from * BLOCK, chunk.groups, own);
        for (int p = 0; p < positions; p += SIDE) {
            float *sums = values + BLOCK * (turn ^= 1);
            for (int g = 0; g < chunk.groups; g++) chunk.pixels[g] = seen(w, from + g, p);
            now.values = sums;
            now.out = out + (size_t)p * (size_t)filters;
            now.pixels = min(SIDE, positions - p);
            dk_multiply_chunk(&chunk, now.pixels > SIDE / 2, sums, &before);
            chunk.fetch += chunk.lines * chunk.groups * 64;
            before = now;
        }
    }
    dk_deliver(&before);
}

/* Some panels of a band. */
static void run_band(struct work *w, int begin, int end, char *own)
{
    const struct plan *plan = plan_of(w->k);
    const struct dk_slide *y = &w->k->filters.y;
    int rows = w->rows + (y->stride == 1 ? (y->size - 1) * y->dilation : 0), step = plan->slab;
    for (w->first = 0; w->first < plan->groups; w->first += step) {
        w->groups = min(step, plan->groups - w->first);
        for (int i = 0; i < plan->planes * rows; i++) cut_row(w, i / rows, i % rows);
        for (int panel = begin; panel < end; panel++) run_panel(w, panel, own);
    }
}

static int count_threads(const struct dk_convolution *k)
{
#ifdef _OPENMP
    double products = (double)packed_count(k) * k->filters.y.count * k->filters.x.count;
    return products < 1e6 ? 1 : omp_get_max_threads();
#else
    (void)k;
    return 1;
#endif
}

/* Every thread cuts what it needs itself: that is faster than to get it from the cache of another core. */
static void run(const struct dk_convolution *k, const float *in, float *out, int add, float slope, float *workspace)
{
    (void)workspace;
    const struct plan *plan = plan_of(k);
    int threads = count_threads(k), height = k->filters.y.count, bands = divide_up(height, plan->band), ranges = 1;
    while (bands * ranges % threads && bands * ranges < 4 * threads && ranges < plan->panels) ranges++;
    if (bands * ranges < threads) bands = min(height, divide_up(threads, ranges));
    int rows = divide_up(height, bands);
    size_t planes = plan->pixels * ROW * PARTS * (size_t)(plan->planes * plan->slab);
    size_t own = planes + CHUNK * GROUP + 2 * BLOCK * sizeof(float);
    char *room = (char *)dk_scratch(own * (size_t)threads / sizeof(float));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        struct work w = {.k = k, .in = in, .out = out, .add = add, .slope = slope, .planes = room};
#ifdef _OPENMP
        w.planes += own * (size_t)omp_get_thread_num();
#endif
        dk_begin_tiles();
#pragma omp for
        for (int i = 0; i < bands * ranges; i++) {
            w.row = i / ranges * rows;
            w.rows = min(rows, height - w.row);
            int begin = plan->panels * (i % ranges) / ranges, end = plan->panels * (i % ranges + 1) / ranges;
            if (w.rows > 0) run_band(&w, begin, end, w.planes + planes);
        }
        dk_end_tiles();
    }
}

const struct dk_way dk_amx_way = {
    .takes_last = 1, .make = make, .packed_count = packed_count, .pack = pack, .get_ready = dk_is_ready, .run = run,
};
#endif
