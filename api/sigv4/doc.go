// Package sigv4 authenticates HTTP requests that are signed by AWS Signature
// Version 4, as aws-cli and the AWS SDKs sign them.
//
// It verifies by recomputing: the request is rebuilt from what its signature
// covers and signed again by the SDK's own signer, with the secret of the
// access key that the request names. The dialects of AWS services stand behind
// it; each has a Verifier for the names that its service signs by.
package sigv4
