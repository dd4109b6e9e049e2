"""Fast evaluation of a model's density, on the CPU and the GPU, beside the plain torch path."""
