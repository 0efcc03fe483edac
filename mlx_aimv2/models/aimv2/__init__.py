"""AIMv2: vision and text towers, LiT, the names of its tensors, the 16 published checkpoints."""
