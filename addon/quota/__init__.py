"""The quota clock: limits as answers state them, once a minute; limits.toml knows where each stands."""
