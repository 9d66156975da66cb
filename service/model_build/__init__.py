"""Makes the model directory that the service loads. Runs when the image is built, never after."""
