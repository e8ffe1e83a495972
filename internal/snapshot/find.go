package snapshot

// Find returns the object of a kind by name; namespace is empty for cluster-scoped kinds. Without a group
// the first kind of that name that has such an object counts. Where the Go type is known, Get is the
// better choice.
func (s *Snapshot) Find(k Kind, namespace, name string) (Object, bool) {
	for _, info := range kinds {
		if info.Kind.Kind != k.Kind || k.Group != "" && k.Group != info.Group {
			continue
		}
		if t := s.tables[info.goType]; t != nil {
			if i, ok := t.find(namespace, name); ok {
				return t.at(i), true
			}
		}
	}
	return nil, false
}
