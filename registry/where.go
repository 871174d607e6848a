package registry

import (
	"cmp"
	"context"
)

const (
	// maxScanned is how many documents a filtered page looks at.
	maxScanned = 10_000
	// scanPage is how many of them it reads at a time.
	scanPage = 200
)

// listWhere reads a page of those documents of a query that keep says. It reads on
// until the page is full, the list ends, or it has looked at maxScanned.
func listWhere[T any](ctx context.Context, s *Store, k Kind, q Query, p Page, keep func(*T) bool) (out []T, next Cursor, err error) {
	limit := p.limit()
	err = s.engine.View(ctx, func(r Reader) error {
		q := q
		q.After, q.Desc, q.Limit = p.After, p.Desc, scanPage
		for scanned := 0; scanned < maxScanned; scanned += q.Limit {
			if err := ctx.Err(); err != nil {
				return err
			}
			var page []T
			var err error
			if page, next, err = readPage[T](r, k, q); err != nil {
				return err
			}
			for i := range page {
				if !keep(&page[i]) {
					continue
				}
				if out = append(out, page[i]); len(out) < limit {
					continue
				}
				q.Limit, q.OnlyIDs = i+1, true // only its cursor is needed
				_, next, err = r.List(k, q)
				return err
			}
			if q.After = next; next == nil {
				return nil
			}
		}
		return nil
	})
	return out, next, err
}

// limit is how many documents a page has at most.
func (p Page) limit() int {
	return min(cmp.Or(max(p.Limit, 0), defaultPage), maxPage)
}
