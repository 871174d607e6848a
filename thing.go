package muster

import "time"

// Thing is a device as the account knows it. Its key is (Account, Name).
type Thing struct {
	Account    string            `json:"account"`
	Name       string            `json:"name"`
	ID         string            `json:"id"` // opaque UUID
	Type       string            `json:"type,omitempty"`
	Groups     []string          `json:"groups,omitempty"` // names, sorted
	Attributes map[string]string `json:"attributes,omitempty"`
	Billing    string            `json:"billing,omitempty"` // billing group
	// Authority is the ID of the authority whose template made it, or "template/"
	// and the name of the fleet provisioning template that did; empty when an
	// operator did. A template of another one does not take it over.
	Authority string    `json:"authority,omitempty"`
	Created   time.Time `json:"created"`
	Revision  int       `json:"revision"`
}

// ThingType classifies things. Its key is (Account, Name).
type ThingType struct {
	Account              string    `json:"account"`
	Name                 string    `json:"name"`
	ID                   string    `json:"id"`
	Description          string    `json:"description,omitempty"`
	SearchableAttributes []string  `json:"searchableAttributes,omitempty"`
	Tags                 []Tag     `json:"tags,omitempty"`
	Created              time.Time `json:"created"`
	Deprecated           time.Time `json:"deprecated,omitzero"` // since when no new thing may have it; zero: it is not
}

// ThingGroup gathers things; policies may be attached to it. Its key is
// (Account, Name).
type ThingGroup struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	ID      string `json:"id"`
	Parent  string `json:"parent,omitempty"`
	// Ancestors are the names of the groups above it, from the root to Parent. A
	// group keeps its place for life, and nothing above it can be deleted before it.
	Ancestors   []string          `json:"ancestors,omitempty"`
	Description string            `json:"description,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Policies    []string          `json:"policies,omitempty"` // names of attached policies, sorted
	Tags        []Tag             `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
	Revision    int               `json:"revision"`
}
