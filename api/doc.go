// Package api is the HTTPS API: one http.Handler in front of the dialects, which
// are the protocols of the control planes that people have tools for. All of
// them work on one registry.
//
// What is the same for every dialect happens here: request ids, the limit on
// bodies, recovery from panics, the access log and metrics. A dialect, such as
// package awsiot, knows its vendor's paths, signatures, members and errors. The
// program joins the two.
package api
