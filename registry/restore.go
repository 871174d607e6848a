package registry

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"github.com/muster-mqtt/muster"
)

const (
	// maxBackupLine bounds a line of a backup, in bytes: a document has at most
	// MaxTxBytes, in which an ID may need six bytes for one.
	maxBackupLine = 2 * MaxTxBytes
	// One transaction of a restore takes documents until it has this many, or
	// this many bytes: few enough that none is too large for an engine, unless a
	// single document is.
	restoreDocs  = 500
	restoreBytes = MaxTxBytes / 2
)

// BackupError says where a backup is not what Backup writes.
type BackupError struct {
	Line int // beginning with 1
	Err  error
}

func (e *BackupError) Error() string { return fmt.Sprintf("backup, line %d: %v", e.Line, e.Err) }
func (e *BackupError) Unwrap() error { return e.Err }

// Restore puts the documents of a backup into an engine that holds none, with
// index entries computed anew and in the form of this program (Upgrade), and
// checks that the sealer opens every secret among them and that they keep the
// rules of the registry. The report's Broken says which they do not; it is the
// caller's to accept that.
//
// After an error the engine holds a part of the documents and is to be thrown
// away. A backup that was cut off or altered is a BackupError, at the latest
// with its last line; so is a secret that does not open (muster.ErrInvalid), at
// once. Restore holds one transaction's documents in memory, at most 1 MiB.
func Restore(ctx context.Context, e Engine, r io.Reader, sealer *Sealer) (BackupReport, error) {
	if sealer == nil {
		return BackupReport{}, errNoSealer
	}
	if err := requireEmpty(ctx, e); err != nil {
		return BackupReport{}, err
	}
	b := batch{ctx: ctx, engine: e, what: "restore"}
	report, err := readBackup(ctx, r, sealer, b.add)
	if err == nil {
		err = b.flush()
	}
	if err == nil {
		err = Upgrade(ctx, e)
	}
	if err != nil {
		return report, err
	}
	broken, err := CheckInvariants(ctx, e)
	report.Broken = texts(broken)
	return report, err
}

// VerifyBackup reads a backup to its end, as strictly as Restore does, and
// writes nothing; the report's Broken is what Backup found. A nil sealer leaves
// the secrets unopened.
func VerifyBackup(ctx context.Context, r io.Reader, sealer *Sealer) (BackupReport, error) {
	return readBackup(ctx, r, sealer, func(Kind, Doc) error { return nil })
}

func requireEmpty(ctx context.Context, e Engine) error {
	return e.View(ctx, func(r Reader) error {
		for _, k := range Kinds() {
			docs, _, err := r.List(k, Query{Limit: 1})
			if err != nil {
				return err
			}
			if len(docs) > 0 {
				return fmt.Errorf("restore: the registry holds documents; a backup goes into an empty one: %w", muster.ErrState)
			}
		}
		return nil
	})
}

// batch gathers documents for one transaction.
type batch struct {
	ctx    context.Context
	engine Engine
	what   string // is done, for errors
	docs   []batchDoc
	bytes  int
}

type batchDoc struct {
	kind Kind
	Doc
}

func (b *batch) add(k Kind, d Doc) error {
	size := 128 + len(d.ID) + len(d.JSON)
	for _, e := range d.Index {
		size += 32 + len(e.Index) + len(e.Key)
	}
	if len(b.docs) == restoreDocs || b.bytes+size > restoreBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.docs = append(b.docs, batchDoc{k, d})
	b.bytes += size
	return nil
}

func (b *batch) flush() error {
	if len(b.docs) == 0 {
		return nil
	}
	err := b.engine.Update(b.ctx, func(t Tx) error {
		for _, d := range b.docs {
			if err := t.Put(d.kind, d.Doc); err != nil {
				return err
			}
		}
		return nil
	})
	b.docs, b.bytes = b.docs[:0], 0
	if err != nil {
		return fmt.Errorf("%s: %w", b.what, err)
	}
	return nil
}

// backupReader reads the lines of one backup.
type backupReader struct {
	in     *bufio.Reader // uncompressed
	sum    hash.Hash     // of the lines before the last one read
	number int           // of the last line read
	last   []byte
	sealer *Sealer
	kind   Kind // of the last document, and its ID
	id     string
	report BackupReport
}

// readBackup calls put for each document. The end may still say that all of it
// is worth nothing.
func readBackup(ctx context.Context, r io.Reader, s *Sealer, put func(Kind, Doc) error) (BackupReport, error) {
	file := bufio.NewReaderSize(r, 64<<10) // gzip reads no byte too many of it
	zip, err := gzip.NewReader(file)
	if err != nil {
		return BackupReport{}, &BackupError{1, unreadable(err)}
	}
	zip.Multistream(false)
	b := &backupReader{in: bufio.NewReaderSize(zip, 64<<10), sum: sha256.New(), sealer: s}
	if err := b.read(ctx, put); err != nil {
		return b.report, err
	}
	if _, err := file.ReadByte(); !errors.Is(err, io.EOF) {
		return b.report, b.failed("something follows the end of the backup")
	}
	return b.report, nil
}

func (b *backupReader) read(ctx context.Context, put func(Kind, Doc) error) error {
	if err := b.readHeader(); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := b.next()
		if err != nil {
			return err
		}
		var l backupLine
		if err := strict(text, &l); err != nil {
			return b.failed("%w", err)
		}
		if l.End != nil {
			return b.end(l)
		}
		d, err := b.document(l)
		if err != nil {
			return err
		}
		if err := put(l.Kind, d); err != nil {
			return err
		}
	}
}

func (b *backupReader) failed(format string, args ...any) error {
	return &BackupError{b.number, fmt.Errorf(format, args...)}
}

// next returns the next line without its end. It is valid until the next call.
func (b *backupReader) next() ([]byte, error) {
	b.sum.Write(b.last)
	b.last = b.last[:0]
	b.number++
	for {
		part, err := b.in.ReadSlice('\n')
		if len(b.last)+len(part) > maxBackupLine {
			return nil, b.failed("a line of more than %d bytes", maxBackupLine)
		}
		b.last = append(b.last, part...)
		switch {
		case err == nil:
			return b.last[:len(b.last)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, b.failed("%w", unreadable(err))
		}
	}
}

// unreadable says what an error in the middle means.
func unreadable(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early: it was cut off, or is still being written")
	case errors.Is(err, gzip.ErrHeader):
		return errors.New("this is no backup of Muster: it is not compressed by gzip")
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return fmt.Errorf("it was altered: %w", err)
	}
	return err
}

// strict reads one JSON value that has no members which v does not know.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("this is no line of a backup: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("this is no line of a backup: something follows the JSON object")
	}
	return nil
}

func (b *backupReader) readHeader() error {
	text, err := b.next()
	if err != nil {
		return err
	}
	var about struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
		Muster  string `json:"muster"`
	}
	if err := json.Unmarshal(text, &about); err != nil || about.Format != backupFormat {
		return b.failed("this is no backup of Muster: its first line does not have the format %q", backupFormat)
	}
	if about.Version != backupVersion {
		return b.failed("the backup has format version %d, written by Muster %s; this program reads version %d: use that Muster or a newer one",
			about.Version, about.Muster, backupVersion)
	}
	var h backupHeader
	if err := strict(text, &h); err != nil {
		return b.failed("%w", err)
	}
	b.report = newReport(h)
	return nil
}

// document checks a document by itself: that its ID is the one that its content
// gives, that it stands in its place, and that its secret can be opened.
func (b *backupReader) document(l backupLine) (Doc, error) {
	v, err := decode(l.Kind, l.Doc)
	if err != nil {
		return Doc{}, b.failed("document of kind %q: %w", l.Kind, err)
	}
	_, id, entries := identify(v)
	if id != l.ID {
		return Doc{}, b.failed("%s %.200q: its content belongs under %.200q", l.Kind, l.ID, id)
	}
	switch {
	case l.Kind != b.kind && b.report.Kinds[l.Kind] > 0:
		return Doc{}, b.failed("%s %.200q: the other documents of its kind stand further above", l.Kind, id)
	case l.Kind == b.kind && id == b.id:
		return Doc{}, b.failed("%s %.200q is there twice", l.Kind, id)
	case l.Kind == b.kind && id < b.id:
		return Doc{}, b.failed("%s %.200q stands after %.200q", l.Kind, id, b.id)
	}
	b.kind, b.id = l.Kind, id
	b.report.add(l.Kind, v)
	if err := b.open(v); err != nil {
		return Doc{}, b.failed("%s %w", noun(l.Kind), err)
	}
	return Doc{ID: id, JSON: l.Doc, Index: entries}, nil
}

// open opens the secret of a document, if it has one.
func (b *backupReader) open(v any) error {
	if b.sealer == nil {
		return nil
	}
	var err error
	switch d := v.(type) {
	case *keyDoc:
		_, err = b.sealer.Open(d.Sealed, d.ID)
	case *issuingDoc:
		_, err = b.sealer.Open(d.Sealed, d.sealContext())
	default:
		return nil
	}
	b.report.Secrets++
	return err
}

// end compares what was read with what the last line says. That line has no
// checksum, so it must be what Backup writes, to the byte.
func (b *backupReader) end(l backupLine) error {
	if text, err := json.Marshal(backupLine{End: l.End}); err != nil || !bytes.Equal(text, b.last[:len(b.last)-1]) {
		return b.failed("the last line was altered")
	}
	b.report.SHA256, b.report.Broken = hex.EncodeToString(b.sum.Sum(nil)), l.End.Broken
	if l.End.SHA256 != b.report.SHA256 {
		return b.failed("the checksum does not match: the backup was altered")
	}
	if !maps.Equal(l.End.Kinds, b.report.Kinds) {
		return b.failed("it counts %v documents, and there are %v", l.End.Kinds, b.report.Kinds)
	}
	if _, err := b.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return b.failed("%w", unreadable(err))
		}
		return b.failed("something follows the last line")
	}
	return nil
}
