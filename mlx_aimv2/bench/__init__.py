"""What a machine does with a checkpoint: rates, latencies, memory, and the ceilings beside them."""
