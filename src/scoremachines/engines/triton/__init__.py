"""The cuda engine: Triton kernels for NVIDIA GPUs."""
