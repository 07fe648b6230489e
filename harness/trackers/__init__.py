"""Records as TensorBoard, Weights & Biases and MLflow show them: one file for each."""
