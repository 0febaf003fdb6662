"""Privacy: secrets and quoted prompts are masked before anything is stored."""
