package awsiot

import (
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/muster-mqtt/muster/registry"
)

const (
	defaultPage = 25
	maxPage     = 250
)

// page reads the pagination of certificates. AWS does not say which order its
// lists have without isAscendingOrder=true; here the newest comes first then.
func (c *call) page() registry.Page {
	p := c.pageOf("pageSize", "marker")
	p.Desc = !c.flag("isAscendingOrder")
	return p
}

// pageByName reads the pagination of policies. AWS orders them by creation; here
// they stand by name, backwards for isAscendingOrder=false.
func (c *call) pageByName() registry.Page {
	p := c.pageOf("pageSize", "marker")
	p.Desc = c.param("isAscendingOrder", boolean) == "false"
	return p
}

// pageOf reads a page by the names that its members have.
func (c *call) pageOf(size, token string) registry.Page {
	c.paged = token
	p := registry.Page{Limit: defaultPage}
	if c.query.Has(size) {
		n, err := strconv.Atoi(c.query.Get(size))
		if err != nil || n < 1 || n > maxPage {
			c.refuse("%s: must be a number from 1 to %d", size, maxPage)
		}
		p.Limit = n
	}
	if sent := c.param(token, marker); sent != "" {
		after, err := base64.StdEncoding.DecodeString(sent)
		if err != nil {
			c.refuse("%s: is none that an earlier answer gave", token)
		}
		p.After = after
	}
	return p
}

// cut returns the page of sorted names.
func cut(names []string, p registry.Page) ([]string, registry.Cursor) {
	i, found := slices.BinarySearch(names, string(p.After))
	switch {
	case p.Desc && p.After == nil:
		i = len(names)
	case !p.Desc && found:
		i++
	}
	if p.Desc {
		names = slices.Clone(names[:i])
		slices.Reverse(names)
	} else {
		names = names[i:]
	}
	if len(names) <= p.Limit {
		return names, nil
	}
	return names[:p.Limit], registry.Cursor(names[p.Limit-1])
}

// token is what the client sends to get the page after this one; "", which the
// answer leaves out, if there is none.
func token(next registry.Cursor) string {
	return base64.StdEncoding.EncodeToString(next)
}

// each maps a list; an empty one becomes [] in JSON, not null.
func each[T, S any](items []T, of func(T) S) []S {
	all := make([]S, 0, len(items))
	for _, item := range items {
		all = append(all, of(item))
	}
	return all
}
