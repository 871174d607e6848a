package awsiot

import (
	"context"
	"net/http"
	"strings"
)

// refusal is an operation that AWS has and Muster has not. It is known by its
// name, so that whoever calls it reads what to do instead, rather than that a
// path is unknown.
type refusal struct {
	name, method, path string
	code               string // what it answers, out of AWS's model of it where that has such an error
}

// The codes of refusals: the first that the model gives the operation. None of
// them is one that an SDK tries again for.
const (
	invalidOperation = "InvalidRequestException"
	validation       = "ValidationException"
	notConfigured    = "NotConfiguredException"
	unknownOperation = "UnknownOperationException"
)

// missing says what Muster has instead of what an operation is about, which its
// name tells. The first whose word is in the name counts.
var missing = []struct{ word, instead string }{
	{"ThingRegistrationTask", "there is no bulk registration out of S3; call RegisterThing for each thing"},
	{"Job", "there are no jobs; publish to a topic that the devices subscribe to"},
	{"OTAUpdate", "there are no updates over the air; publish to a topic that the devices subscribe to"},
	{"Stream", "there are no streams of files; have the devices fetch them by HTTPS"},
	{"Command", "there are no remote commands; publish to a topic that the devices subscribe to"},
	{"Package", "there is no catalog of software; keep versions as attributes of things"},
	{"Sbom", "there is no catalog of software; keep versions as attributes of things"},
	{"BillingGroup", "there are no billing groups; use thing groups or attributes of things"},
	{"DynamicThingGroup", "groups do not follow queries; add things to static groups by UpdateThingGroupsForThing"},
	{"ThingConnectivityData", "who is connected is told by the events on $aws/events/presence/ and by the metrics"},
	{"FleetMetric", "there is no index of the fleet; the metrics of the server are at /metrics"},
	{"Index", "there is no index of the fleet; ListThings finds things by type and attribute, ListThingsInThingGroup by group"},
	{"Indices", "there is no index of the fleet; ListThings finds things by type and attribute, ListThingsInThingGroup by group"},
	{"Statistics", "there is no index of the fleet; ListThings finds things by type and attribute"},
	{"Percentiles", "there is no index of the fleet; ListThings finds things by type and attribute"},
	{"Cardinality", "there is no index of the fleet; ListThings finds things by type and attribute"},
	{"BucketsAggregation", "there is no index of the fleet; ListThings finds things by type and attribute"},
	{"TopicRule", "there is no rules engine; subscribe to the topics by MQTT, or have events sent to a webhook"},
	{"Authorizer", "there are no custom authorizers; devices authenticate by certificates"},
	{"RoleAlias", "there is no credentials provider and there are no roles"},
	{"DomainConfiguration", "the names and certificates of the endpoints are part of the server's configuration and of its accounts"},
	{"CertificateProvider", "certificates are signed by an authority of the server; to sign them yourself, register your authority"},
	{"EncryptionConfiguration", "there are no keys of KMS; secrets are sealed under the server's own master key"},
	{"Logging", "what is logged is part of the server's configuration"},
	{"Audit", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"SecurityProfile", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"Violation", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"MitigationAction", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"BehaviorModel", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"CustomMetric", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"Dimension", "there is no Device Defender; the metrics of the server are at /metrics"},
	{"MetricValues", "there is no Device Defender; the metrics of the server are at /metrics"},
}

// refusedOperations are the operations that AWS has besides operations().
func refusedOperations() []operation {
	var all []operation
	for _, r := range refusals() {
		all = append(all, operation{r.name, r.method, r.path, func(*Dialect, context.Context, *call) (any, error) {
			return nil, r.fault()
		}})
	}
	return all
}

func (r refusal) fault() *fault {
	f := &fault{status: http.StatusBadRequest, code: r.code, message: "Muster has no " + r.name + "."}
	if r.code == notConfigured || r.code == unknownOperation {
		f.status = http.StatusNotFound
	}
	if instead := r.instead(); instead != "" {
		f.message = "Muster has no " + r.name + ": " + instead + "."
	}
	return f
}

func (r refusal) instead() string {
	for _, m := range missing {
		if strings.Contains(r.name, m.word) {
			return m.instead
		}
	}
	return ""
}
