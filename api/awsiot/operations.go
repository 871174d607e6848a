package awsiot

import (
	"net/http"
	"slices"
)

// The methods of HTTP, shorter where they stand in tables.
const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// operations is the API, family by family. Of two that match one request the
// first is taken: literal paths stand before labels.
func operations() []operation {
	return slices.Concat(
		accountOperations(),
		authorityOperations(),
		certificateOperations(),
		issuingOperations(),
		transferOperations(),
		policyOperations(),
		authorizationOperations(),
		templateOperations(),
		registerThingOperations(),
		thingTypeOperations(),
		groupOperations(),
		thingOperations(),
		principalOperations(),
		tagOperations(),
		eventOperations(),
	)
}
