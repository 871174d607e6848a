package policy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// operator is an operator of a condition.
type operator struct {
	text     string // as it was written: ForAllValues:StringNotEqualsIfExists
	set      set
	test     test
	negated  bool
	ifExists bool
}

// set says how many of the values that a session has must pass.
type set uint8

const (
	single   set = iota // the one that there is
	allOfSet            // ForAllValues
	anyOfSet            // ForAnyValue
)

// test compares what a session has with one value of a policy. It is compiled
// from that value once, and fails if the value does not fit the operator.
type test struct {
	// compile takes the text of a pattern. A matcher answers unknown to what is
	// no number, date, address and so on, as the operator demands.
	compile func(text string) (matcher, error)
	// instant compiles a comparison with the time; nil: the operator has none.
	instant   func(text string) (func(now time.Time) bool, error)
	wildcards bool // * and ? in the policy's value stand for others
	null      bool // it only asks whether there is a value
}

type matcher func(value string) truth

// operatorName admits the operators of IAM, so that a misspelt one is found
// when the policy is written.
var operatorName = regexp.MustCompile(`^(?:(ForAllValues:|ForAnyValue:)?(` +
	`String(?:Not)?(?:Equals(?:IgnoreCase)?|Like)|` +
	`(?:Numeric|Date)(?:(?:Not)?Equals|(?:Less|Greater)Than(?:Equals)?)|` +
	`Arn(?:Not)?(?:Equals|Like)|(?:Not)?IpAddress|Bool|BinaryEquals)(IfExists)?|Null)$`)

func parseOperator(text string) (operator, bool) {
	m := operatorName.FindStringSubmatch(text)
	if m == nil {
		return operator{}, false
	}
	o := operator{text: text, ifExists: m[3] != ""}
	switch m[1] {
	case "ForAllValues:":
		o.set = allOfSet
	case "ForAnyValue:":
		o.set = anyOfSet
	}
	name := strings.Replace(m[2], "Not", "", 1)
	o.negated = name != m[2]
	o.test = testOf(name)
	return o, true
}

// testOf takes the name of an operator without Not, and "" for Null.
func testOf(name string) test {
	switch name {
	case "":
		return test{compile: compileBool, null: true}
	case "StringEquals":
		return test{compile: func(text string) (matcher, error) {
			return func(value string) truth { return truthOf(value == text) }, nil
		}}
	case "StringEqualsIgnoreCase":
		return test{compile: func(text string) (matcher, error) {
			return func(value string) truth { return truthOf(strings.EqualFold(value, text)) }, nil
		}}
	case "StringLike":
		return test{compile: compileLike, wildcards: true}
	case "ArnEquals", "ArnLike": // the same to IAM
		return test{compile: compileARN, wildcards: true}
	case "IpAddress":
		return test{compile: compileAddress}
	case "Bool":
		return test{compile: compileBool}
	case "BinaryEquals":
		return test{compile: compileBinary}
	}
	if order, ok := strings.CutPrefix(name, "Numeric"); ok {
		return numericTest(orders[order])
	}
	return dateTest(orders[strings.TrimPrefix(name, "Date")])
}

// orders are the comparisons, by what cmp.Compare says of the session's value
// and the policy's.
var orders = map[string]func(int) bool{
	"Equals":            func(c int) bool { return c == 0 },
	"LessThan":          func(c int) bool { return c < 0 },
	"LessThanEquals":    func(c int) bool { return c <= 0 },
	"GreaterThan":       func(c int) bool { return c > 0 },
	"GreaterThanEquals": func(c int) bool { return c >= 0 },
}

func compileLike(text string) (matcher, error) {
	g := newGlob(text)
	return func(value string) truth { return truthOf(g.match("", value)) }, nil
}

// arnParts is how many parts an ARN has; the last may hold more colons.
const arnParts = 6

// compileARN compares part by part, so that a star does not reach over a colon.
func compileARN(text string) (matcher, error) {
	parts := strings.SplitN(text, ":", arnParts)
	if len(parts) < arnParts || parts[0] != "arn" {
		return nil, errors.New("no ARN; write one with all its parts, such as arn:aws:iot:*:*:topic/a")
	}
	globs := make([]glob, len(parts))
	for i, p := range parts {
		globs[i] = newGlob(p)
	}
	return func(value string) truth {
		parts := strings.SplitN(value, ":", arnParts)
		if len(parts) < arnParts {
			return unknown
		}
		for i, p := range parts {
			if !globs[i].match("", p) {
				return no
			}
		}
		return yes
	}, nil
}

func compileAddress(text string) (matcher, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, errors.New("no address; write one such as 192.0.2.7, or a range such as 192.0.2.0/24")
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
	}
	return func(value string) truth {
		address, err := netip.ParseAddr(value)
		if err != nil {
			return unknown
		}
		return truthOf(prefix.Contains(address.Unmap().WithZone("")))
	}, nil
}

func compileBool(text string) (matcher, error) {
	want, ok := parseBool(text)
	if !ok {
		return nil, errors.New("write true or false")
	}
	return func(value string) truth {
		if have, ok := parseBool(value); ok {
			return truthOf(have == want)
		}
		return unknown
	}, nil
}

func parseBool(text string) (value, ok bool) {
	value = strings.EqualFold(text, "true")
	return value, value || strings.EqualFold(text, "false")
}

func compileBinary(text string) (matcher, error) {
	want, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("not base64")
	}
	return func(value string) truth {
		have, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return unknown
		}
		return truthOf(string(have) == string(want))
	}, nil
}

func numericTest(order func(int) bool) test {
	return test{
		compile: func(text string) (matcher, error) {
			want, ok := parseNumber(text)
			if !ok {
				return nil, errors.New("no number; write one such as 12 or -0.5")
			}
			return func(value string) truth {
				have, ok := parseNumber(value)
				if !ok {
					return unknown
				}
				return truthOf(order(have.Cmp(want)))
			}, nil
		},
		instant: func(text string) (func(time.Time) bool, error) {
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, errors.New("write the time in whole seconds since 1970")
			}
			return compareTime(time.Unix(seconds, 0), order), nil
		},
	}
}

// numberForm bounds a number, for big.Rat would write out any exponent.
var numberForm = regexp.MustCompile(`^[+-]?[0-9]{1,64}(\.[0-9]{1,64})?([eE][+-]?[0-9]{1,2})?$`)

func parseNumber(text string) (*big.Rat, bool) {
	if !numberForm.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

func dateTest(order func(int) bool) test {
	return test{
		compile: func(text string) (matcher, error) {
			want, err := parseDate(text)
			if err != nil {
				return nil, err
			}
			return func(value string) truth {
				have, err := parseDate(value)
				if err != nil {
					return unknown
				}
				return truthOf(order(have.Compare(want)))
			}, nil
		},
		instant: func(text string) (func(time.Time) bool, error) {
			want, err := parseDate(text)
			if err != nil {
				return nil, err
			}
			return compareTime(want, order), nil
		},
	}
}

// compareTime compares whole seconds, which is what AWS knows.
func compareTime(want time.Time, order func(int) bool) func(time.Time) bool {
	return func(now time.Time) bool { return order(now.Truncate(time.Second).Compare(want)) }
}

// parseDate reads the forms of ISO 8601 that name a day at least, and seconds
// since 1970.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("no time; write one such as %s, or seconds since 1970", "2026-11-22T12:00:00Z")
	}
	return time.Unix(seconds, 0), nil
}
