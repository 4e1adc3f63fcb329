"""`inhaul demo`: the story of team payments, told on the embedded default. For trying, never for production."""
