package registry

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/muster-mqtt/muster"
)

// A backup is gzip over lines of JSON: a header, a line for each document, kind
// by kind and in the order of the IDs, and an end, which counts and sums up what
// stands before it. docs/backup.md shows it to those who want to read it with
// other tools.
const (
	backupFormat  = "muster-backup"
	backupVersion = 1
)

type backupHeader struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Muster  string    `json:"muster,omitempty"` // the version of the program
	Time    time.Time `json:"time"`
	Seq     uint64    `json:"sequence"`
}

// backupLine is any line after the header: a document or the end.
type backupLine struct {
	Kind Kind            `json:"kind,omitempty"`
	ID   string          `json:"id,omitempty"`
	Doc  json.RawMessage `json:"doc,omitempty"`
	End  *backupEnd      `json:"end,omitempty"`
}

type backupEnd struct {
	Kinds  map[Kind]int `json:"kinds"`
	Broken []string     `json:"broken,omitempty"`
	SHA256 string       `json:"sha256"` // of all bytes before this line, in hex
}

// BackupReport says what a backup holds.
type BackupReport struct {
	Muster       string                `json:"muster,omitempty"` // the version of the program that wrote it
	Time         time.Time             `json:"time"`
	Seq          uint64                `json:"sequence"` // of the last change that is in it
	Documents    int                   `json:"documents"`
	Kinds        map[Kind]int          `json:"kinds"`
	Certificates map[muster.Status]int `json:"certificates"`
	Secrets      int                   `json:"secretsOpened"` // sealed secrets that the master key opened
	SHA256       string                `json:"sha256"`        // of the lines before the last one, uncompressed
	// Broken are the rules of the registry that what is in it breaks: there are
	// none, unless documents were lost or an engine or this package has a fault.
	Broken []string `json:"broken,omitempty"`
}

func newReport(h backupHeader) BackupReport {
	return BackupReport{
		Muster: h.Muster, Time: h.Time, Seq: h.Seq, Kinds: map[Kind]int{}, Certificates: map[muster.Status]int{},
	}
}

func (r *BackupReport) add(k Kind, v any) {
	r.Documents++
	r.Kinds[k]++
	if c, ok := v.(*muster.Certificate); ok && c.Claim == "" {
		r.Certificates[c.Status]++
	}
}

// Backup writes all documents of an engine to w as they stand at one moment,
// while changes go on. version is that of the program, "" if it is not known.
//
// Secrets stay sealed under the master key, which is not in a backup. Index
// entries are not in it either: Restore computes them anew.
//
// Nothing is written before the engine has verified what it stores and every
// certificate, authority and tombstone that an index lists was found: a backup
// is whole, or it fails. It holds one page of documents in memory. The View
// stays open until w has taken everything, and as long the engine keeps what
// changes replace: w bounds how long it makes Backup wait.
func Backup(ctx context.Context, e Engine, w io.Writer, version string) (report BackupReport, err error) {
	if err := e.Verify(ctx); err != nil {
		return report, fmt.Errorf("backup: %w", err)
	}
	err = e.View(ctx, func(r Reader) error {
		if err := complete(ctx, r); err != nil {
			return err
		}
		b := newBackupWriter(w, backupHeader{
			Format: backupFormat, Version: backupVersion, Muster: version, Time: time.Now().UTC(), Seq: r.Seq(),
		})
		if err := b.documents(ctx, r); err != nil {
			return err
		}
		if err := b.close(); err != nil {
			return err
		}
		report = b.report
		return nil
	})
	if err != nil {
		return report, fmt.Errorf("backup: %w", err)
	}
	return report, nil
}

// Backup writes a backup of the registry, as Backup of an engine does.
func (s *Store) Backup(ctx context.Context, w io.Writer, version string) (BackupReport, error) {
	return Backup(ctx, s.engine, w, version)
}

// complete fails if an index lists a document that is not there. badger drops
// what it cannot read when it merges tables, and its next Verify finds nothing
// wrong: but what is lost under one key is seldom lost under others too.
func complete(ctx context.Context, r Reader) error {
	for k, index := range map[Kind]string{
		KindCert: IndexOwner, KindAuthority: IndexOwner, KindTombstone: IndexExpiry, KindAccount: IndexEndpoint,
	} {
		err := each(ctx, r, k, Query{Index: index}, func(Doc) error { return nil })
		if errors.Is(err, ErrNoDoc) {
			return fmt.Errorf("documents are lost; restore the registry from an earlier backup: %w", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// backupWriter writes one backup. Its first error is the answer to all later
// calls, by way of the gzip writer.
type backupWriter struct {
	out    *bufio.Writer // gzip writes 240 bytes at a time
	zip    *gzip.Writer
	sum    hash.Hash
	line   bytes.Buffer
	report BackupReport
	header backupHeader
}

func newBackupWriter(w io.Writer, h backupHeader) *backupWriter {
	// Certificates are mostly random bytes: more effort makes the file a little
	// smaller and takes three times as long, on a machine that has to serve.
	out := bufio.NewWriterSize(w, 64<<10)
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &backupWriter{out: out, zip: zip, sum: sha256.New(), header: h, report: newReport(h)}
}

func (b *backupWriter) documents(ctx context.Context, r Reader) error {
	if err := b.write(b.header); err != nil {
		return err
	}
	c := newChecker(ctx, r)
	for _, k := range Kinds() {
		err := each(ctx, r, k, Query{}, func(d Doc) error {
			v, err := decode(k, d.JSON)
			if err != nil {
				return fmt.Errorf("%s %s: damaged document: %w", k, d.ID, err)
			}
			if _, id, _ := identify(v); id != d.ID {
				return fmt.Errorf("%s %s: damaged document: its content belongs under %q", k, d.ID, id)
			}
			b.report.add(k, v)
			if err := c.rules(v); err != nil {
				return err
			}
			return b.write(backupLine{Kind: k, ID: d.ID, Doc: d.JSON})
		})
		if err != nil {
			return err
		}
	}
	if err := c.namesakes(); err != nil {
		return err
	}
	b.report.Broken = texts(c.found())
	return nil
}

func texts(errs []error) (out []string) {
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

// write writes a line and sums it up.
func (b *backupWriter) write(v any) error {
	b.line.Reset()
	encoder := json.NewEncoder(&b.line)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	b.sum.Write(b.line.Bytes())
	_, err := b.zip.Write(b.line.Bytes())
	return err
}

// close writes the end.
func (b *backupWriter) close() error {
	b.report.SHA256 = hex.EncodeToString(b.sum.Sum(nil))
	end := backupEnd{Kinds: b.report.Kinds, Broken: b.report.Broken, SHA256: b.report.SHA256}
	if err := b.write(backupLine{End: &end}); err != nil {
		return err
	}
	if err := b.zip.Close(); err != nil {
		return err
	}
	return b.out.Flush()
}
