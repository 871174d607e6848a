package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// format is the flag -o: how a command prints what it found.
type format string

const (
	formatText format = ""
	formatJSON format = "json"
)

func (f *format) add(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "how to print: text or json")
}

func (f *format) String() string {
	if *f == formatText {
		return "text"
	}
	return string(*f)
}

func (f *format) Type() string { return "format" }

// Set is called with what follows the flag.
func (f *format) Set(text string) error {
	switch text {
	case "text":
		*f = formatText
	case "json":
		*f = formatJSON
	default:
		return errors.New("want text or json")
	}
	return nil
}

// print prints one thing, as a line of JSON or as text does it.
func (f *format) print(w io.Writer, v any, text func(*bytes.Buffer)) error {
	var b bytes.Buffer
	if *f == formatText {
		text(&b)
	} else if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// age is a flag that takes a duration, of days too.
type age struct {
	d     time.Duration
	given bool
}

func (a *age) Type() string { return "age" }

func (a *age) String() string {
	if !a.given {
		return ""
	}
	return ageText(a.d)
}

// Set is called with what follows the flag.
func (a *age) Set(text string) (err error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		a.d = time.Duration(n) * 24 * time.Hour
	} else {
		a.d, err = time.ParseDuration(text)
	}
	if err != nil || a.d <= 0 {
		return errors.New("want an age such as 90m, 36h or 7d")
	}
	a.given = true
	return nil
}

// isTerminal says whether somebody sits there, as far as the mode of a file can
// tell: the other device that commands are commonly given is the empty one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	empty, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, empty)
}

// short is as much of an ID as people compare, and commands take.
func short(id string) string {
	if id == "" {
		return "-"
	}
	return id[:min(16, len(id))]
}

// printable keeps what a device wrote into its certificate from talking to the
// operator's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// ageText is a duration in its one largest unit.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
