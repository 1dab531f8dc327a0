"""Training the nano network: scenes made on the device, a simulated user, resumable checkpoints."""
