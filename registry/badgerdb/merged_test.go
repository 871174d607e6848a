package badgerdb

import (
	"errors"
	"os"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// TestVerifyMerged: badger empties a table that it has merged into others, and
// then removes it. Who read it meanwhile must not take that for damage, or a
// registry that works would write nothing any more.
func TestVerifyMerged(t *testing.T) {
	for _, tt := range []struct {
		name    string
		emptied bool // else removed
		live    bool // badger still lives by it
	}{
		{"emptied", true, false},
		{"removed", false, false},
		{"emptied by another", true, true},
		{"removed by another", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.emptied {
				if err := os.WriteFile(table.NewFilename(7, dir), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			asked := 0
			err := verifyTables(t.Context(), dir, func() []badger.TableInfo {
				if asked++; asked > 1 && !tt.live {
					return nil
				}
				return []badger.TableInfo{{ID: 7}}
			})
			if got := errors.Is(err, errDamagedTable); got != tt.live {
				t.Errorf("damaged = %v, want %v: %v", got, tt.live, err)
			}
		})
	}
}
