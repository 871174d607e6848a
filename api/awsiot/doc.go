// Package awsiot is the dialect of AWS IoT Core's control plane (API version
// 2015-05-28): restJson1 requests, signed by AWS Signature Version 4 for the
// service "iot", as aws-cli, the AWS SDKs and Terraform send them.
//
// It is one front door to the registry and holds none of its rules: an operation
// decodes its members, checks their form, calls the registry.Store and encodes
// the answer. Errors get their AWS names in errors.go and nowhere else.
//
// Operations that AWS has and Muster has not are known and refused by their
// names (refused.go); what no operation of AWS's is, is answered by 404 or 405
// and UnknownOperationException.
package awsiot
