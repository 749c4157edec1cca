"""Stand-ins for what is not here: devices that play recorded sessions."""
