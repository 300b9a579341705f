"""Methods side by side on labelled conversations: the gateway's own ranking, model and all."""
