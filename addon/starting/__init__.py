"""The start: options, the first words, the CA's folder, and how the process logs and frees memory."""
