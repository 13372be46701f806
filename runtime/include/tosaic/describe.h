/* What the compiler asks about a loaded model. In the host's shared library only. */
#ifndef TOSAIC_DESCRIBE_H
#define TOSAIC_DESCRIBE_H

#include "tosaic/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The plan of a loaded model, for config->plan: how many words writing it takes, and its words, of
 * which the number is returned.
 */
size_t tosaic_describe_plan_words(const tosaic_model *model);
size_t tosaic_describe_plan(const tosaic_model *model, uint32_t *words);

/* By what a plan knows its model: a hash of a few words of it, at an aligned address. */
uint32_t tosaic_describe_sample(const void *model, size_t size);

/* Bytes of arena, with a plan, on a device with 32-bit pointers and the kernels whose scratch
 * memory is compiled in here.
 */
size_t tosaic_describe_device_arena(const tosaic_model *model);

/* The name of entry `index` of tosaic_all_operators, or NULL behind the last; and how many nodes
 * of the model use it.
 */
const char *tosaic_describe_operator_name(size_t index);
size_t tosaic_describe_operator_uses(const tosaic_model *model, size_t index);

/* Node `index` of a graph: its number in tosa.fbs' enum Op, its attributes (attributes.h), the
 * indices of the tensors it reads and then writes, how many operators are merged into it, and how
 * many nodes behind it run as one step with it. False behind the last.
 */
typedef struct tosaic_described_node {
  uint32_t op;
  const int32_t *attributes;
  const uint16_t *operands;
  uint16_t inputs, outputs, merged, chained;
} tosaic_described_node;

bool tosaic_describe_node(const tosaic_model *model, size_t graph, size_t index,
                          tosaic_described_node *node);

/* The index of output `index` of a graph among its tensors. */
uint16_t tosaic_describe_output(const tosaic_model *model, size_t graph, size_t index);

/* Tensor `index` of a graph, or NULL behind the last; and where it is (PlanKind in plan.h, by which
 * a plan sorts them).
 */
const tosaic_tensor *tosaic_describe_tensor(const tosaic_model *model, size_t graph, size_t index);
uint8_t tosaic_describe_kind(const tosaic_model *model, size_t graph, size_t index);

#ifdef __cplusplus
}
#endif

#endif
