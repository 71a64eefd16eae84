"""Training: configurations, losses, the loop, and the checkpoints that it leaves."""
