"""How far apart numbers may be that should be equal, with the reason; the tests share these."""

GOLDEN = 2e-5  # float32 against Apple's own modules on a CPU; another order of summation
PUBLISHED = 1e-3  # float32 against four decimals that another decoder and machine produced

# Of the largest value of a block's output, in float32: another order of summation (7e-7 on a CPU),
# and the exponential of another device.
BLOCK = 2e-5
# Of the length of a token, through all blocks on whatever machine: of the same weights, and where
# those of one of the two were rounded to half precision.
FEATURES = 3e-4
ROUNDED_FEATURES = 3e-2
# And where those of one were quantised, by bits: demo's are 2e-2 and 3e-1 away. Finds nonsense, not
# a wrong code or two, which is less than what quantisation does.
PACKED_FEATURES = {8: 0.1, 4: 1.0}
NORMALIZED = 1e-5  # a pixel's last bits
# TF32 keeps 10 bits of each factor, float32 23: products of 256 terms, against float64.
FULL_PRODUCT = 1e-5
# Attention with values of unit size against float64, by precision: a rounding of the result or two.
ATTENTION = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}
