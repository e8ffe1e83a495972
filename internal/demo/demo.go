// Package demo is an invented mesh of the size that Sidestep is made for: about 400 services and
// 2,000 pods with a sidecar, with the mix of features and the traps that real meshes have. It is
// generated, always the same to the byte, as the manifests that kubectl get -o yaml would print, so
// that it goes through everything that a user's manifests go through. Pure.
package demo

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/sidestep-mesh/sidestep/internal/snapshot"
)

// Manifest is one file of the mesh.
type Manifest struct {
	// Path is relative, with forward slashes.
	Path string
	Text []byte
}

// Manifests returns the mesh, sorted by path. The texts are shared and must not be changed.
func Manifests() []Manifest { return slices.Clone(manifests()) }

var manifests = sync.OnceValue(generate)

func generate() []Manifest {
	b := &builder{files: map[string][]snapshot.Object{}}
	b.controlPlane()
	b.nodes()
	for _, t := range teams {
		b.team(t)
	}
	b.outside()
	var out []Manifest
	for path, objects := range b.files {
		write := text
		if strings.HasSuffix(path, ".json") {
			write = list
		}
		out = append(out, Manifest{Path: path, Text: write(objects)})
	}
	slices.SortFunc(out, func(a, b Manifest) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// builder gathers objects by file.
type builder struct {
	files map[string][]snapshot.Object
	// pods and services count those made so far; names, addresses and nodes follow from them.
	pods, services int
}

// add puts objects into one of a namespace's files.
// What the API server makes of manifests, pods above all, is in JSON: there is much of it and nobody edits it.
func (b *builder) add(namespace, file string, objects ...snapshot.Object) {
	path := namespace + "/" + file + ".yaml"
	if file == "pods" || file == "replicasets" || file == "nodes" {
		path = namespace + "/" + file + ".json"
	}
	b.files[path] = append(b.files[path], objects...)
}
