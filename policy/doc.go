// Package policy reads AWS IoT policy documents and decides by them what one
// session may do. It is pure: it imports the root package and the standard
// library, and has neither clock, log nor I/O.
//
// It works in three steps, so that the last one is cheap. [Parse] reads a text
// once and shares the result among sessions. [Realm.Bind] joins the documents
// that reach a principal with the variables of one session, at CONNECT, and
// settles every condition that the session can tell. Then [Bound.Evaluate]
// answers on the publish path without locks or allocation; only conditions on
// the time are left to it. [Realm.Explain] gives the same answer with reasons.
//
// Whatever is in doubt does not grant:
//
//   - Nothing is allowed unless a statement says so, and an explicit Deny wins.
//   - A condition that cannot be decided keeps an Allow from granting and lets
//     a Deny deny. That is so where a variable in it has no value, where a value
//     is no number, date or address although the operator needs one, where a key
//     has several values and the operator no ForAllValues or ForAnyValue, and
//     where it is about the time and nobody knows it.
//   - A key that is absent is decided, as in IAM: the negated operators, those
//     with IfExists, and ForAllValues hold; all others do not.
//   - A resource pattern with a variable that has no value matches nothing. So
//     an Allow does not grant, and, as in AWS, a Deny does not deny: write a
//     Deny without variables, or with one that every session has. The text is
//     not compared literally, for else a device could ask for a topic that is
//     named "${iot:ClientId}".
//   - NotResource is the complement of its patterns. If one of them has a
//     variable without a value, an Allow grants nothing, and a Deny makes no
//     exception for it.
package policy
