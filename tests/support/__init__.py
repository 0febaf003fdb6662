"""What tests, trials and the demo share: a provider, a proxy, clients, certificates."""
