"""Way in: brokers. Reads the sources that organisations named, and submits what comes of them."""
