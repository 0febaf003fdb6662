"""What clients of the proxy need: shared by the addon, which prints it, and by the commands that print and check it."""
