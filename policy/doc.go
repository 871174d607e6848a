// Package policy reads AWS IoT policy documents and decides by them what one
// session may do. It is pure: it imports the root package and the standard
// library, and has neither clock, log nor I/O.
//
// It works in three steps, so that the last one is cheap. [Parse] reads a text
// once and shares the result among sessions. [Bind] joins the documents that
// reach a principal with the variables of one session, at CONNECT. Then
// [Bound.Evaluate] answers on the publish path without locks or allocation.
//
// Whatever is in doubt does not grant:
//
//   - Nothing is allowed unless a statement says so, and an explicit Deny wins.
//   - Conditions are read but not evaluated yet. An Allow with a Condition
//     grants nothing; a Deny with a Condition denies its actions and resources
//     whatever the condition says.
//   - A resource pattern with a variable that has no value matches nothing. So
//     an Allow does not grant, and, as in AWS, a Deny does not deny: write a
//     Deny without variables, or with one that every session has. The text is
//     not compared literally, for else a device could ask for a topic that is
//     named "${iot:ClientId}".
//   - A Deny with a variable that AWS fills from the certificate and this
//     package does not supply (issuer, alternative names, serial number) takes
//     it as "*", so that it denies more than in AWS, never less.
//   - NotResource is the complement of its patterns. If one of them has a
//     variable without a value, an Allow grants nothing, and a Deny makes no
//     exception for it.
package policy
