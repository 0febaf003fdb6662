"""Who calls: agents are told apart by what they say of themselves on the wire; agents.toml knows where each says it."""
