/* Activations that upstream lacks. All of them hand a NaN on. */
#include <string.h>

#include "convolution.h"

/* Upstream's; its header holds code that warns. */
ACTIVATION get_activation(char *name);
void activate_array(float *values, const int count, const ACTIVATION activation);

#define UNUSED __attribute__((unused))

static float six(float x)
{
    return x < 0 ? 0 : x > 6 ? 6 : x;
}

static float relu6(float x, UNUSED float parameter)
{
    return six(x);
}

static float swish(float x, UNUSED float parameter)
{
    return x / (1 + expf(-x));
}

static float hardsigmoid(float x, UNUSED float parameter)
{
    return six(x + 3) / 6;
}

static float hardswish(float x, UNUSED float parameter)
{
    return x * six(x + 3) / 6;
}

static float gelu(float x, UNUSED float parameter)
{
    return 0.5F * x * erfcf(x * (float)-M_SQRT1_2);
}

static float gelu_tanh(float x, UNUSED float parameter)
{
    const double root = M_SQRT1_2 * M_2_SQRTPI; /* of 2 / pi */
    return 0.5F * x * (1 + tanhf((float)root * (x + 0.044715F * x * x * x)));
}

static float softplus(float x, UNUSED float parameter)
{
    return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x)));
}

static float exponential(float x, UNUSED float parameter)
{
    return expf(x);
}

static float logarithm(float x, UNUSED float parameter)
{
    return logf(x);
}

static float magnitude(float x, UNUSED float parameter)
{
    return fabsf(x);
}

static float leaky(float x, float slope)
{
    return x > 0 ? x : slope * x;
}

static float elu(float x, float alpha)
{
    return x > 0 ? x : alpha * expm1f(x);
}

static const struct {
    const char *name;
    float (*apply)(float x, float parameter);
} names[] = {
    {"relu6", relu6}, {"swish", swish}, {"hardsigmoid", hardsigmoid}, {"hardswish", hardswish}, {"gelu", gelu},
    {"gelu_tanh", gelu_tanh}, {"softplus", softplus}, {"exp", exponential}, {"log", logarithm}, {"abs", magnitude},
};

static int find(const char *name)
{
    int count = sizeof names / sizeof *names;
    for (int i = 0; i < count; i++) {
        if (!strcmp(names[i].name, name)) return i;
    }
    return -1;
}

int dk_is_our_activation(const char *name)
{
    return find(name) >= 0;
}

const char *dk_our_activation_names(void)
{
    return "relu6, swish, hardsigmoid, hardswish, gelu, gelu_tanh, softplus, exp, log, abs";
}

/* 1 and the parameter when the options give the key; it belongs to one activation. */
static int parameter(list *options, const char *key, const char *activation, float *value)
{
    const char *name = dk_text(options, "activation");
    if (!dk_has(options, key)) return 0;
    if (!name || strcmp(name, activation)) dk_fail(DK_BAD_CFG, "%s needs activation=%s", key, activation);
    *value = (float)dk_real(options, key, 0);
    return 1;
}

int dk_our_activation(list *options, int has_alpha, struct dk_activation *found)
{
    const char *name = dk_text(options, "activation");
    if (parameter(options, "slope", "leaky", &found->parameter)) found->apply = leaky;
    else if (has_alpha && parameter(options, "alpha", "elu", &found->parameter)) found->apply = elu;
    else if (name && find(name) >= 0) found->apply = names[find(name)].apply;
    else if (name) found->stock = get_activation((char *)name);
    return found->apply != NULL;
}

int dk_slope_of(const struct dk_activation *activation, float *slope)
{
    if (activation->apply == leaky) *slope = activation->parameter;
    else if (activation->apply) return 0;
    else if (activation->stock == LINEAR) *slope = 1;
    else if (activation->stock == RELU) *slope = 0;
    else if (activation->stock == LEAKY) *slope = 0.1F;
    else return 0;
    return 1;
}

/* Upstream's, the two most used ones as vectors. */
static void activate_stock(ACTIVATION stock, float *values, size_t count)
{
    enum { BLOCK = 1 << 12 };
    if (stock == LINEAR) return;
#pragma omp parallel for if (count > DK_MANY)
    for (size_t first = 0; first < count; first += BLOCK) {
        float *x = values + first;
        int n = count - first < BLOCK ? (int)(count - first) : BLOCK;
        if (stock == RELU) {
            for (int i = 0; i < n; i++) x[i] = x[i] <= 0 ? 0 : x[i];
        } else if (stock == LEAKY) {
            for (int i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] : (float)(.1 * x[i]);
        } else {
            activate_array(x, n, stock);
        }
    }
}

void dk_activate(const struct dk_activation *activation, float *values, size_t count)
{
    if (!activation->apply) {
        activate_stock(activation->stock, values, count);
        return;
    }
#pragma omp parallel for if (count > DK_MANY)
    for (size_t i = 0; i < count; i++) values[i] = activation->apply(values[i], activation->parameter);
}
