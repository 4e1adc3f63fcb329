"""The same calls to the stand-in and to a real kube-apiserver, and their answers side by side."""
