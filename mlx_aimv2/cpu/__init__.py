"""What only MLX's CPU backend needs: a fast BLAS, kernels, a cache of its compiled code."""
