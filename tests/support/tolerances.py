"""Every tolerance of the tests, with its reason; those of `aimv2 verify` are its own."""

from mlx_aimv2.verification.check import GOLDEN, PUBLISHED

__all__ = ["GOLDEN", "PUBLISHED"]

FEATURES = 5e-5  # float32 against transformers at full width, 4 blocks and more
LOGITS = 1e-3  # a cosine times at most 100
BATCH_MATES = 5e-6  # another batch shape changes the order of summation, nothing else
RESAMPLING = 1e-5  # a bicubic filter in float32 against Pillow's
GRADIENT = 3e-3  # of the gradient's length: central differences of a float32 loss

MIN_COSINE = {"float32": 0.9999999, "float16": 0.99999, "bfloat16": 0.9998}
MIN_COSINE_QUANTIZED = {8: 0.999, 4: 0.96}
MIN_COSINE_QUANTIZED_RANDOM = {8: 0.999, 4: 0.92}  # Gaussian weights have nothing to spare

CPU_EXP = 2.5e-7  # of the value and of its argument: a few roundings to 2^-24
ATTENTION_BY_HAND = 1e-5  # a block in NumPy's float32 against MLX's, values up to 10
# A last bit of an activation up to 8, now and then: 2^-8 in float16, 2^-5 in bfloat16.
BATCH_MATES_HALF = {"float16": 8e-3, "bfloat16": 6e-2}
# A unit vector's components are rounded to 2^-24, 2^-11 and 2^-8 of themselves.
UNIT = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 6e-3}
SMALL_FEATURES = 1e-5  # float32 against transformers at small width: fewer terms in each sum
PRETRAINING = 2e-5  # float32 against float64: tensors, and gradients of their largest entry
PRETRAINING_LOSS = 1e-5  # float32 against float64
PRETRAINING_HALF = 2e-2  # bfloat16 has three digits

# Float32 against transformers at tiny sizes: what right arithmetic reaches and no wrong one does.
ARIA_FEATURES = 2e-5
ARIA_LOGITS = 5e-5
ARIA_CACHE = 1e-5  # of logits up to 10: other numbers of queries at once, nothing else
ARIA_LIVE_LOGITS = 1e-4  # float32 against transformers at other sizes
ARIA_HALF_COSINE = 0.999  # of logits, float16 and bfloat16 against transformers' own
# Root mean square, of the logits' spread: twice the most of four random networks.
ARIA_QUANTIZED_CACHE = {8: 0.04, 4: 0.23}
