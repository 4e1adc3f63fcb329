"""Commands about Kustomizations: build, diff, plan, drift. They print what the controller's pure modules say."""
