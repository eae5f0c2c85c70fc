"""Pages and figures of finished runs."""
