/* Runs inputs of the fuzz target without a fuzzer:
 *   replay TIMES FILE...       each of them, that many times
 *   replay --failing FILE...   each with the 1st, 2nd, 3rd ... allocation failing
 *   replay --dictionary        prints the words of the engine's table of sections for libFuzzer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "sections.h"
#include "target.h"

enum { MOST = 1 << 16, LAST_FAILING = 255 };

static uint8_t *content;
static size_t length;

static void read_input(const char *path)
{
    FILE *file = fopen(path, "rb");
    must(file != NULL, "the input can be opened");
    length = fread(content, 1, MOST, file);
    fclose(file);
}

/* A copy of just its size, so that a read beyond it is seen. */
static void run_input(void)
{
    uint8_t *exact = malloc(length + !length);
    memcpy(exact, content, length);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
}

static void run_failing(void)
{
    static const uint8_t usual[] = {0, 1, 1, 0, 0};
    size_t text = strnlen((char *)content, length);
    if (length < text + sizeof usual) memcpy(content + text, usual, sizeof usual);
    if (length < text + sizeof usual) length = text + sizeof usual;
    int before = -1;
    for (int failing = 1; failing <= LAST_FAILING && limits_refused() != before; failing++) {
        before = limits_refused();
        content[text + 3] = (uint8_t)failing;
        run_input();
    }
}

static void print_dictionary(void)
{
    for (const struct dk_kind *const *kind = dk_kinds; *kind; kind++) {
        printf("\"[%s]\\x0a\"\n", (*kind)->name);
        for (const struct dk_key *key = (*kind)->keys; key && key->name; key++) printf("\"%s=\"\n", key->name);
    }
    for (const struct dk_key *key = dk_common_keys; key->name; key++) printf("\"%s=\"\n", key->name);
}

int main(int count, char **words)
{
    must(count > 1, "there are arguments");
    if (!strcmp(words[1], "--dictionary")) {
        print_dictionary();
        return 0;
    }
    content = malloc(MOST + 16);
    int failing = !strcmp(words[1], "--failing"), times = failing ? 0 : atoi(words[1]);
    for (int i = 2; i < count; i++) {
        fprintf(stderr, "%s\n", words[i]);
        read_input(words[i]);
        if (failing) run_failing();
        for (int k = 0; k < times; k++) run_input();
    }
    free(content);
    return 0;
}
