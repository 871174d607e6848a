// Package sigv4 authenticates HTTP requests that are signed by AWS Signature
// Version 4, as aws-cli and the AWS SDKs sign them: with an Authorization header
// or by the query of a presigned URL, and with a body that is hashed, unsigned
// under TLS, or sent in chunks that are signed one by one (aws-chunked).
//
// It verifies by recomputing: what the signature covers is put into the canonical
// form again and signed with the secret of the access key that the request names.
// The dialects of AWS services stand behind it; each has a Verifier for the names
// that its service signs by.
package sigv4
