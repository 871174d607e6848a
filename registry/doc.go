// Package registry keeps what Muster knows: accounts, authorities,
// certificates, things, policies, templates, and the answers that OCSP
// responders gave. It holds the rules (who may go from which status to which,
// proof of possession, what may be deleted) and makes each change one
// transaction on an Engine, which stores documents and knows no rule.
package registry
