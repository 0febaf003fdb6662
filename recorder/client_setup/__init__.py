"""Variables, certificates and addresses that clients of the proxy need: the addon and the commands share them."""
