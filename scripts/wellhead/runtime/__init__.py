"""The node that really serves: embeddings behind OpenAI's API, and the counters that reporters read."""
