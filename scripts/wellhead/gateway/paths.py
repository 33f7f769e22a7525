"""Where a gateway answers what."""

OFFER_PATH, STATUS_PATH = "/.well-known/x402", "/status"
RECEIPTS_PATH = "/pool/receipts"
HEALTH_PATH, METRICS_PATH, MODELS_PATH = "/healthz", "/metrics", "/v1/models"
EMBEDDINGS_PATH = "/v1/embeddings"
CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
PAID_PATHS = (EMBEDDINGS_PATH, CHAT_PATH, COMPLETIONS_PATH)
