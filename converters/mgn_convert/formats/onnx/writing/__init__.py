"""Writing rules: neutral nodes to ONNX nodes, one op family per file."""
