"""The commands of `llm-metrics`: what each takes, prints, and how it ends."""
