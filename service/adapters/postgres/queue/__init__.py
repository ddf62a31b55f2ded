"""The queue of pending deliveries: accept, claim, throttle, settle. The hot path's statements are here."""
