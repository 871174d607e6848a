// Package provisioning turns templates into registrations. Parse reads the
// text of a template in the grammar of AWS IoT provisioning, and Render makes
// of it and of the Parameters of one device the muster.Registration that the
// registry writes. Lint says all that is wrong with a text, and Describe shows
// a registration to people.
//
// Everything here is pure: no clock, no log, no I/O. Whatever can be known
// from the text alone is an error of Parse, so that it shows when an operator
// writes the template and not when a device connects; only what depends on the
// device is left to Render. Both are bounded in time and memory, for a subject
// may hold what a stranger wrote.
//
// A template has Parameters, Mappings, DeviceConfiguration and Resources:
// exactly one AWS::IoT::Certificate, at most one AWS::IoT::Thing and up to ten
// AWS::IoT::Policy, with OverrideSettings for what exists already. Properties,
// settings and the configuration may hold Ref, Fn::FindInMap, Fn::Join,
// Fn::Select, Fn::Split and Fn::Sub. The certificate is the one that connects or
// that is provisioned by a claim; only templates that ParseRegisterThing reads
// name one themselves.
//
// Beyond AWS IoT, a template may refer under Muster::Certificate:: to more of
// the certificate than seven attributes of its subject: docs/templates.md lists
// it all.
//
// A value that comes in by a parameter of a policy document may not hold
// wildcards, quotes or dollar signs: a device whose common name is * must not
// be allowed to connect as every other.
package provisioning
