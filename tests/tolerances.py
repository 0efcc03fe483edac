"""Every tolerance of the tests, with its reason."""

GOLDEN = 2e-5  # float32 against Apple's own modules on a CPU; another order of summation
FEATURES = 5e-5  # float32 against transformers at full width, 4 blocks and more
LOGITS = 1e-3  # a cosine times at most 100
BATCH_MATES = 5e-6  # another batch shape changes the order of summation, nothing else
RESAMPLING = 1e-5  # a bicubic filter in float32 against Pillow's
GRADIENT = 2e-2  # relative, central differences in float32

MIN_COSINE = {"float32": 0.9999999, "float16": 0.99999, "bfloat16": 0.9998}
MIN_COSINE_QUANTIZED = {8: 0.999, 4: 0.96}
