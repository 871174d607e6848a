package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/muster-mqtt/muster/registry"
)

// The value of a document: a format byte, the version (8 bytes, big endian), the
// number of index entries, each entry as a byte that is 1 if it is unique, the
// index and the key, and then the JSON. Numbers and the lengths before index and
// key are uvarints. The entries are kept so that overwriting and deleting know
// what to remove.
const documentFormat = 1

var (
	errDamaged      = errors.New("stored document is damaged; restore the registry from a backup")
	errDamagedTable = errors.New("a table on disk is damaged, and documents are lost; restore the registry from a backup")
)

func encodeDoc(d registry.Doc) []byte {
	size := 1 + 8 + binary.MaxVarintLen32 + len(d.JSON)
	for _, e := range d.Index {
		size += 1 + 2*binary.MaxVarintLen32 + len(e.Index) + len(e.Key)
	}
	b := append(make([]byte, 0, size), documentFormat)
	b = binary.BigEndian.AppendUint64(b, d.Version)
	b = binary.AppendUvarint(b, uint64(len(d.Index)))
	for _, e := range d.Index {
		var isUnique byte
		if e.Unique {
			isUnique = 1
		}
		b = append(b, isUnique)
		b = append(binary.AppendUvarint(b, uint64(len(e.Index))), e.Index...)
		b = append(binary.AppendUvarint(b, uint64(len(e.Key))), e.Key...)
	}
	return append(b, d.JSON...)
}

// decodeDoc returns a document whose slices are parts of b.
func decodeDoc(id string, b []byte) (registry.Doc, error) {
	d := registry.Doc{ID: id}
	if len(b) < 9 || b[0] != documentFormat {
		return d, errDamaged
	}
	d.Version = binary.BigEndian.Uint64(b[1:])
	b = b[9:]
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return d, errDamaged
	}
	b = b[n:]
	if count > 0 {
		d.Index = make([]registry.Entry, count)
	}
	for i := range d.Index {
		if len(b) == 0 {
			return d, errDamaged
		}
		d.Index[i].Unique = b[0] == 1
		var index []byte
		var ok bool
		if index, b, ok = cutSized(b[1:]); !ok {
			return d, errDamaged
		}
		d.Index[i].Index = string(index)
		if d.Index[i].Key, b, ok = cutSized(b); !ok {
			return d, errDamaged
		}
	}
	d.JSON = b
	return d, nil
}

// cutSized returns the bytes whose length b begins with, and what follows them.
func cutSized(b []byte) (part, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}

func encodeSeq(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// readSeq reads the last sequence that txn sees.
func readSeq(txn *badger.Txn) (seq uint64, err error) {
	item, err := txn.Get(seqKey)
	if err != nil {
		return 0, err
	}
	err = item.Value(func(b []byte) error {
		if len(b) != 8 {
			return fmt.Errorf("sequence of %d bytes", len(b))
		}
		seq = binary.BigEndian.Uint64(b)
		return nil
	})
	return seq, err
}
