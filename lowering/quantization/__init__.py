"""Float islands between quant casts become integer TOSA."""
