"""torch dialect to TOSA, one file per op family; every lowering registers in the op table."""
