package muster

import "time"

// Policy is a named access policy with up to five versions, one of them in
// force. Its key is (Account, Name).
type Policy struct {
	Account    string          `json:"account"`
	Name       string          `json:"name"`
	Versions   []PolicyVersion `json:"versions"` // ascending
	Default    string          `json:"default"`  // ID of the version in force
	Next       int             `json:"next"`     // number of the next version
	Tags       []Tag           `json:"tags,omitempty"`
	Created    time.Time       `json:"created"`
	Modified   time.Time       `json:"modified"`
	Generation string          `json:"generation"`
}

// PolicyVersion is one text of a policy.
type PolicyVersion struct {
	ID       string    `json:"id"` // decimal, from "1"
	Document string    `json:"document"`
	Created  time.Time `json:"created"`
}

// Document returns the text of the version in force, or "" if there is none.
func (p Policy) Document() string {
	for _, v := range p.Versions {
		if v.ID == p.Default {
			return v.Document
		}
	}
	return ""
}
