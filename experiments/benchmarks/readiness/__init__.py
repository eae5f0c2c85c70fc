"""What the engine would do on a GPU, counted on fake CUDA tensors: they have shapes, types and devices, no numbers."""
