package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// Kind names one sort of document: a table, where an engine has tables.
type Kind string

// Entry is one index entry of a document, computed by this package. Keys may
// hold any byte and may be prefixes of one another.
type Entry struct {
	Index  string
	Key    []byte
	Unique bool // no other document of the kind may hold the same (Index, Key)
}

// Doc is one stored document.
type Doc struct {
	ID      string
	Version uint64 // the commit's sequence that wrote it; set by the engine
	JSON    []byte
	Index   []Entry
}

// Cursor is the place after the last document of a page; nil is the start.
type Cursor []byte

// Query selects a page of documents.
type Query struct {
	Index  string // "" orders by ID
	Prefix []byte // of the index key, or of the ID
	From   []byte // the index key, or the ID, is not below From; nil: no bound
	To     []byte // and below To; nil: no bound
	After  Cursor
	Desc   bool
	Limit  int // at most; 0 or less means 100
	// OnlyIDs asks for documents that have their IDs and nothing else, which
	// spares looking them up.
	OnlyIDs bool
}

// Reader reads one consistent state. What it returns is the caller's own.
type Reader interface {
	// Get returns the document, or ErrNoDoc.
	Get(Kind, string) (Doc, error)
	// List returns documents ordered by (key, ID), and the cursor for the next
	// page, nil when there is none; or ErrCursor, if After is no cursor.
	List(Kind, Query) ([]Doc, Cursor, error)
	// Seq is the last change that this reader sees. It never goes back, also
	// not over a restart.
	Seq() uint64
}

// Tx reads and writes. It sees its own writes.
type Tx interface {
	Reader
	// Put with Version 0 creates, or returns ErrDocExists if the ID or a
	// unique index key is taken; any other Version must equal the stored one,
	// or Put returns ErrDocConflict.
	Put(Kind, Doc) error
	// Delete removes the document, or returns ErrNoDoc.
	Delete(Kind, string) error
}

// Limits of one Update closure: more fails with ErrTooLarge. Bulk work loops.
const (
	MaxTxDocs  = 1000
	MaxTxBytes = 1 << 20
)

// Engine keeps documents with index entries and knows nothing of their
// meaning. Package registrytest holds every implementation to this contract.
type Engine interface {
	// View runs fn on one consistent state.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn and, if it returns nil, makes its writes durable before
	// returning nil itself; if fn fails nothing is written. Closures run one
	// after another, may run again, and must do no I/O. ctx counts until fn
	// starts. An Update called from within fn returns ErrNested. After a
	// failed sync, or where what is stored is found damaged, every Update
	// returns ErrFailed with the cause.
	Update(ctx context.Context, fn func(Tx) error) error
	// Changes calls fn for every change with a sequence above after, in commit
	// order and after the sync, until ctx ends or fn fails. It returns
	// ErrTooOld when changes after that point are not held any more: drop what
	// was derived and begin again at Seq.
	Changes(ctx context.Context, after uint64, fn func(seq uint64, k Kind, id string) error) error
	// Verify reads all that is stored on disk and fails if any of it is damaged.
	// Readers need not notice: to them, what is damaged may just not be there.
	Verify(ctx context.Context) error
	// Err is nil until the engine can write no more.
	Err() error
	// Close ends the engine. Nothing acknowledged is lost by not calling it.
	Close() error
}

// What engines answer with.
var (
	ErrNoDoc       = errors.New("registry: no such document")
	ErrDocExists   = errors.New("registry: document or unique key exists")
	ErrDocConflict = errors.New("registry: document has another version")
	ErrTooLarge    = errors.New("registry: more than 1,000 documents or 1 MiB in one update")
	ErrTooOld      = errors.New("registry: changes that old are not held any more")
	ErrNested      = errors.New("registry: update inside an update")
	ErrFailed      = errors.New("registry: nothing is written any more")
	ErrClosed      = errors.New("registry: closed")
	// ErrCursor is an ErrInvalid: cursors come back from clients.
	ErrCursor = fmt.Errorf("registry: malformed cursor; begin again without one: %w", muster.ErrInvalid)
)
