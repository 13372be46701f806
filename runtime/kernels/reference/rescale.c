#include "rescale.h"

RESCALE(i8, int8_t, ELEMENT)
RESCALE(u8, uint8_t, ELEMENT)
RESCALE(i16, int16_t, ELEMENT)
RESCALE(u16, uint16_t, ELEMENT)
RESCALE(i32, int32_t, ELEMENT)
RESCALE(i48, uint8_t, tosaic_load_i48)
