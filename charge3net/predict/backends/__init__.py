"""Fast evaluation of a model's density, on the CPU and the GPU, and the plain torch path."""
