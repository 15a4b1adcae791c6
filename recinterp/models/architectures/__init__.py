"""The networks that are trained here, in plain torch."""
