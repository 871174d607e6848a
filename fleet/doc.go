// Package fleet lets devices provision themselves over MQTT, as AWS IoT's fleet
// provisioning does: a device that holds a claim certificate asks for a
// certificate of its own, and then has a provisioning template make a thing of
// it and activate it. The topics are
//
//	$aws/certificates/create/F
//	$aws/certificates/create-from-csr/F
//	$aws/provisioning-templates/NAME/provision/F
//
// where F, json or cbor, is the encoding of the request and of its answer, which
// comes on the same topic with /accepted or /rejected after it.
//
// The package knows no MQTT and no registry: requests come by Service.Request,
// from a connection that is an Asker, and what is asked of the registry is the
// interface Registry. Requests wait in a bounded queue, in which each account and
// each client has its turn, and are worked on by a bounded number of goroutines.
//
// An answer may hold a private key. It goes to the Asker of the request and to
// nobody else, it is kept nowhere, and nothing of it is logged.
package fleet
