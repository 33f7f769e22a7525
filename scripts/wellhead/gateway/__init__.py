"""Pay per inference: an x402 gateway before any server that speaks OpenAI's API."""
