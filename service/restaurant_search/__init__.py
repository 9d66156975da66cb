"""Restaurant search: one model, loaded once, behind a small HTTP API."""

import os

# ONNX Runtime's Linux builds report to their maker unless this is set before the library is loaded. What a deployment
# runs is its operator's business, so nobody has to know of it to be left alone.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
