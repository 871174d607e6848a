package awsiot

import (
	"maps"
	"net/http/httptest"
	"slices"
	"testing"
)

func TestMatch(t *testing.T) {
	all := routes([]operation{
		{name: "Literal", method: "GET", path: "/things/special"},
		{name: "Label", method: "GET", path: "/things/{thingName}"},
		{name: "Put", method: "PUT", path: "/things/{thingName}"},
		{name: "Two", method: "GET", path: "/things/{thingName}/versions/{versionId}"},
		{name: "Rest", method: "POST", path: "/attached-policies/{target...}"},
	})
	for _, c := range []struct {
		method, path, want string
		labels             map[string]string
		others             []string
	}{
		{method: "GET", path: "/things/special", want: "Literal"},
		{method: "GET", path: "/things/a", want: "Label", labels: map[string]string{"thingName": "a"}},
		{method: "GET", path: "/things/a%2Fb%3Ac%25", want: "Label", labels: map[string]string{"thingName": "a/b:c%"}},
		{method: "GET", path: "/things/special/versions/2", want: "Two",
			labels: map[string]string{"thingName": "special", "versionId": "2"}},
		{method: "PUT", path: "/things/special", want: "Put", labels: map[string]string{"thingName": "special"}},
		{method: "POST", path: "/attached-policies/arn%3Aaws%3Aiot%3Ar%3A1%3Acert%2Fab", want: "Rest",
			labels: map[string]string{"target": "arn:aws:iot:r:1:cert/ab"}},
		{method: "POST", path: "/attached-policies/arn:aws:iot:r:1:cert/ab", want: "Rest",
			labels: map[string]string{"target": "arn:aws:iot:r:1:cert/ab"}},
		{method: "DELETE", path: "/things/a", others: []string{"GET", "PUT"}},
		{method: "GET", path: "/things/"},
		{method: "GET", path: "/things"},
		{method: "GET", path: "/things/a/"},
		{method: "GET", path: "//things/a"},
		{method: "GET", path: "/things/../things/a"},
		{method: "POST", path: "/attached-policies/"},
		{method: "GET", path: "/"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			m := match(all, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
			var got string
			if m.operation != nil {
				got = m.operation.name
			}
			if got != c.want || !maps.Equal(m.labels, c.labels) || !slices.Equal(m.others, c.others) {
				t.Errorf("%q with %v, others %v; want %q with %v, others %v", got, m.labels, m.others, c.want, c.labels, c.others)
			}
		})
	}
}
