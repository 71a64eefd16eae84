"""From the pictures of a data set to the batches of a training."""
