package awsiot

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// operation is one operation of the API.
type operation struct {
	name   string // AWS's name
	method string
	// path is the template of the path. A label {name} takes one segment, and
	// {name...}, at the end, all that are left, for ARNs come with their
	// slashes escaped or not.
	path string
	do   func(*Dialect, context.Context, *call) (any, error)
}

// route is an operation with its path taken apart.
type route struct {
	operation
	segments []string
}

func routes(operations []operation) []route {
	all := make([]route, 0, len(operations))
	for _, o := range operations {
		all = append(all, route{o, strings.Split(o.path, "/")})
	}
	return all
}

// matched is what a request's method and path stand for.
type matched struct {
	operation *operation        // nil: none
	labels    map[string]string // decoded
	path      string            // as it was sent
	method    string
	others    []string // methods that the path is known with, if not with this one
}

// match finds the operation. Unlike http.ServeMux it neither redirects nor
// cleans paths: a signature covers the path as it was sent.
func match(all []route, r *http.Request) matched {
	m := matched{path: r.URL.EscapedPath(), method: r.Method}
	segments := strings.Split(m.path, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return m
		}
		segments[i] = decoded
	}
	for i := range all {
		labels, ok := all[i].labels(segments)
		if !ok {
			continue
		}
		if all[i].method == r.Method {
			m.operation, m.labels, m.others = &all[i].operation, labels, nil
			return m
		}
		if !slices.Contains(m.others, all[i].method) {
			m.others = append(m.others, all[i].method)
		}
	}
	return m
}

func (t *route) labels(segments []string) (map[string]string, bool) {
	labels := make(map[string]string)
	for i, want := range t.segments {
		if i >= len(segments) {
			return nil, false
		}
		name, isLabel := strings.CutPrefix(want, "{")
		name = strings.TrimSuffix(name, "}")
		rest, isRest := strings.CutSuffix(name, "...")
		switch {
		case isLabel && isRest:
			labels[rest] = strings.Join(segments[i:], "/")
			return labels, labels[rest] != ""
		case isLabel && segments[i] != "":
			labels[name] = segments[i]
		case segments[i] != want:
			return nil, false
		}
	}
	return labels, len(segments) == len(t.segments)
}

// fault says why no operation matched.
func (m *matched) fault() *fault {
	if len(m.others) > 0 {
		return &fault{
			status:  http.StatusMethodNotAllowed,
			code:    "UnknownOperationException",
			message: "No operation is implemented as " + m.method + " " + shorten(m.path) + "; there is " + strings.Join(m.others, ", ") + ".",
			allow:   m.others,
		}
	}
	return &fault{
		status:  http.StatusNotFound,
		code:    "UnknownOperationException",
		message: "No operation is implemented as " + m.method + " " + shorten(m.path) + ".",
	}
}

// shorten bounds what an answer repeats of a request.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
