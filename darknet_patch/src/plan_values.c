/* Values of a plan: which is which, and where each lies. */
#include "plan.h"

/* A map of one channel or one cell lies the same in both orders. */
int dk_value_of(const struct dk_plan *plan, int layer, enum dk_order order)
{
    int origin = plan->origins[layer + 1];
    dk_shape shape = dk_shape_of(plan->net, origin);
    int one = shape.c == 1 || shape.h * shape.w == 1;
    return 2 * (origin + 1) + (one ? FIRST : order);
}

int dk_layer_of(int value)
{
    return value / 2 - 1;
}

enum dk_order dk_order_of(int value)
{
    return value % 2;
}

static int overlap(const struct dk_value *a, const struct dk_value *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest place for `value` beside those of `placed`, which are sorted by offset. */
static size_t lowest(const struct dk_value *values, const int *placed, int count, const struct dk_value *value)
{
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const struct dk_value *other = &values[placed[i]];
        if (!overlap(other, value)) continue;
        if (other->offset >= offset + value->count) break;
        if (other->offset + other->count > offset) offset = other->offset + other->count;
    }
    return offset;
}

static void insert(const struct dk_value *values, int *placed, int count, int value)
{
    int at = count;
    for (; at > 0 && values[placed[at - 1]].offset > values[value].offset; at--) placed[at] = placed[at - 1];
    placed[at] = value;
}

/* Largest first, each at the lowest place that is free for as long as it lives. */
void dk_place_values(struct dk_plan *plan)
{
    int total = 2 * (plan->net->n + 1), count = 0, placed_count = 0;
    struct dk_value *values = plan->values;
    int *todo = dk_calloc((size_t)total, sizeof *todo), *placed = dk_calloc((size_t)total, sizeof *placed);
    for (int v = 0; v < total; v++) {
        if (values[v].first < 0 || values[v].same != v || values[v].stored) continue;
        values[v].count = (values[v].count + 15) / 16 * 16; /* 64 bytes */
        int at = count++;
        for (; at > 0 && values[todo[at - 1]].count < values[v].count; at--) todo[at] = todo[at - 1];
        todo[at] = v;
    }
    for (int i = 0; i < count; i++) {
        struct dk_value *value = &values[todo[i]];
        value->offset = lowest(values, placed, placed_count, value);
        insert(values, placed, placed_count++, todo[i]);
        if (value->offset + value->count > plan->arena_count) plan->arena_count = value->offset + value->count;
    }
    dk_release(todo);
    dk_release(placed);
}
