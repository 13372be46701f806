#include "../model.h"
#include "tosaic/operators.h"

namespace {

#define ENTRY(NAME) &tosaic_op_##NAME,
const tosaic_operator *const kEntries[] = {TOSAIC_FOR_EACH_OPERATOR(ENTRY)};

}  // namespace

const tosaic_operator_table tosaic_all_operators = {kEntries,
                                                    sizeof(kEntries) / sizeof(kEntries[0])};
