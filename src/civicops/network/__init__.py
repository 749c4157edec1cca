"""Network devices: what they are and how they are configured, asked over SSH from the controller."""
