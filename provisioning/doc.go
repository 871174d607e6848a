// Package provisioning turns templates into registrations. Parse reads the
// text of a template in the grammar of AWS IoT just-in-time provisioning,
// Parameters takes from a device's certificate what a template may refer to,
// and Render makes of both the muster.Registration that the registry writes.
//
// Everything here is pure: no clock, no log, no I/O. Whatever can be known
// from the text alone is an error of Parse, so that it shows when an operator
// writes the template and not when a device connects; only what depends on the
// device is left to Render. Both are bounded in time and memory, for a subject
// may hold what a stranger wrote.
//
// A template has Parameters, Mappings and Resources: exactly one
// AWS::IoT::Certificate, at most one AWS::IoT::Thing and up to ten
// AWS::IoT::Policy. Properties may hold Ref, Fn::FindInMap, Fn::Join,
// Fn::Select, Fn::Split and Fn::Sub. OverrideSettings and DeviceConfiguration
// are refused, because nothing would act on them.
//
// A value that comes in by a parameter of a policy document may not hold
// wildcards, quotes or dollar signs: a device whose common name is * must not
// be allowed to connect as every other.
package provisioning
