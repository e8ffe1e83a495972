#!/bin/sh
# Writes what is generated from api: the copies of its types and the CustomResourceDefinition, which the chart carries too. Run by
# go generate.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root/tools/generate"
go build -o "$root/bin/controller-gen" sigs.k8s.io/controller-tools/cmd/controller-gen
cd "$root"
bin/controller-gen object paths=./api/... crd:maxDescLen=300 output:crd:artifacts:config=deploy/crds
cp deploy/crds/sidestep.dev_migrations.yaml deploy/chart/sidestep/crds/
