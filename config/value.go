package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// binding ties a key to the field that holds its value.
type binding struct {
	set    func(*yaml.Node) error // stores a value, or says what is wrong with it
	text   func() string          // the value as YAML
	form   schema                 // what set accepts, as far as a schema can say it
	number bool                   // set takes a number of YAML
	clear  func()                 // empties the list to which set appends an item; nil if it is no list
	alone  bool                   // an item of the list may stand without the list
	file   *string                // the field, if it is a path
}

var (
	regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	hostForm   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	sizeForm   = regexp.MustCompile(`^([0-9]+)(KiB|MiB)?$`)
)

func region(p *string) binding {
	form := schema{Type: typeString, Pattern: `^([a-z0-9]+(-[a-z0-9]+)*)?$`, MaxLength: 32}
	return word(p, form, func(s string) error {
		if len(s) > 32 || !regionForm.MatchString(s) {
			return errors.New("want lower-case letters, digits and hyphens, such as us-east-1")
		}
		return nil
	})
}

func file(p *string) binding {
	form := schema{Type: typeString, Pattern: `^[^\x00-\x1f\x7f-\x9f]*$`, MaxLength: 4096}
	b := word(p, form, func(s string) error {
		if len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("want a path without control characters, at most 4096 bytes")
		}
		return nil
	})
	b.file = p
	return b
}

func address(p *string) binding {
	return word(p, schema{Type: typeString, Pattern: `^(.*:[0-9]+)?$`}, checkAddress)
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New(`want host:port, such as 127.0.0.1:8883 or "[::1]:8883"`)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && (len(host) > 253 || !hostForm.MatchString(host)) {
		return fmt.Errorf("%s is no host name and no address", quote(host))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s is no port; want a number from 0 to 65535", quote(port))
	}
	return nil
}

// addresses binds a list of host:port, at most 16. One alone may be written
// without a list.
func addresses(p *[]string) binding {
	return list(p, 16, "host:port, such as 127.0.0.1:8883", `^.*:[0-9]+$`, checkAddress)
}

// urls binds a list of web addresses, at most 8.
func urls(p *[]string) binding {
	return list(p, 8, "a URL, such as https://events.example.com/muster", `^https?://`, func(s string) error {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return errors.New("want a URL, such as https://events.example.com/muster")
		case u.User != nil:
			return errors.New("a URL has no user and password here; webhook.secret signs the requests")
		case u.Fragment != "":
			return errors.New("a URL has no fragment here")
		}
		return nil
	})
}

// hooks binds names of functions with the URLs that stand for them here.
func hooks(p *[]string) binding {
	const want = "ARN=URL, such as arn:aws:lambda:us-east-1:123456789012:function:check=https://hooks.example.com/check"
	return list(p, 100, want, `^arn:[^=]+=https?://`, func(s string) error {
		name, target, _ := strings.Cut(s, "=")
		u, err := url.Parse(target)
		switch {
		case !strings.HasPrefix(name, "arn:") || len(name) > 2048 || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return errors.New("want " + want)
		case u.User != nil || u.Fragment != "":
			return errors.New("the URL of a hook has no user, password or fragment; webhook.secret signs the requests")
		}
		return nil
	})
}

// list binds strings that check accepts.
func list(p *[]string, most int, want, pattern string, check func(string) error) binding {
	return binding{
		form: schema{
			Type: typeList, Pattern: `^$|` + pattern, MaxItems: most,
			Items: &schema{Type: types{"string"}, Pattern: pattern},
		},
		alone: true,
		clear: func() { *p = nil },
		set: func(n *yaml.Node) error {
			s, err := scalar(n, want, "!!str")
			if err != nil {
				return err
			}
			if err := check(s); err != nil {
				return fmt.Errorf("%s: %w", quote(s), err)
			}
			if slices.Contains(*p, s) && !strings.HasSuffix(s, ":0") {
				return fmt.Errorf("%s: it is in the list already", quote(s))
			}
			if len(*p) == most {
				return fmt.Errorf("more than %d of them", most)
			}
			*p = append(*p, s)
			return nil
		},
		text: func() string {
			if len(*p) == 1 {
				return stringText((*p)[0])
			}
			texts := make([]string, len(*p))
			for i, s := range *p {
				texts[i] = strconv.Quote(s)
			}
			return "[" + strings.Join(texts, ", ") + "]"
		},
	}
}

func choice[T ~string](p *T, options ...T) binding {
	var names []string
	var known []candidate
	form := schema{Type: typeString, Enum: []any{"", nil}}
	for _, o := range options {
		names = append(names, string(o))
		known = append(known, candidate{string(o), string(o)})
		form.Enum = append(form.Enum, string(o))
	}
	return word(p, form, func(s string) error {
		if slices.Contains(names, s) {
			return nil
		}
		near, _ := nearest(s, known)
		return fmt.Errorf("want %s%s", strings.Join(names, " or "), didYouMean(near))
	})
}

// word binds a string that check accepts.
func word[T ~string](p *T, form schema, check func(string) error) binding {
	return binding{
		form: form,
		set: func(n *yaml.Node) error {
			s, err := scalar(n, "a string", "!!str")
			if err != nil {
				return err
			}
			if err := check(s); err != nil {
				return fmt.Errorf("%s: %w", quote(s), err)
			}
			*p = T(s)
			return nil
		},
		text: func() string { return stringText(string(*p)) },
	}
}

// duration binds a multiple of unit, from one unit to limit.
func duration(p *time.Duration, unit, limit time.Duration) binding {
	return binding{
		form: schema{
			Type:    typeString,
			Pattern: `^(\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)?$`,
			bounds:  "From " + durationText(unit) + " to " + durationText(limit) + ".",
		},
		set: func(n *yaml.Node) error {
			s, err := scalar(n, "a duration with a unit, such as 10s, 5m or 720h", "!!str")
			if err != nil {
				return err
			}
			d, err := time.ParseDuration(s)
			if err != nil {
				return fmt.Errorf("%s: want a duration with a unit, such as 10s, 5m or 720h", quote(s))
			}
			if d < unit || d > limit || d%unit != 0 {
				return fmt.Errorf("%s: want %s to %s, in steps of %[2]s", quote(s), durationText(unit), durationText(limit))
			}
			*p = d
			return nil
		},
		text: func() string { return durationText(*p) },
	}
}

// count binds a number from 1 to limit.
func count(p *int, limit int) binding { return number(p, 1, limit) }

// number binds a number from low to high.
func number(p *int, low, high int) binding {
	return binding{
		form:   schema{Type: typeNumber, Pattern: `^$`, Minimum: &low, Maximum: high},
		number: true,
		set: func(n *yaml.Node) error {
			s, err := scalar(n, "a whole number", "!!int")
			if err != nil {
				return err
			}
			var v int
			if err := n.Decode(&v); err != nil || v < low || v > high {
				return fmt.Errorf("%s: want a number from %d to %d", quote(s), low, high)
			}
			*p = v
			return nil
		},
		text: func() string { return strconv.Itoa(*p) },
	}
}

// size binds a number of bytes from low to high.
func size(p *int, low, high int) binding {
	return binding{
		form: schema{
			Type: typeNumber, Minimum: &low, Maximum: high, Pattern: `^([0-9]+(KiB|MiB)?)?$`,
			bounds: "From " + sizeText(low) + " to " + sizeText(high) + ".",
		},
		set: func(n *yaml.Node) error {
			s, err := scalar(n, "a size, such as 131072 or 128KiB", "!!int", "!!str")
			if err != nil {
				return err
			}
			v, err := parseSize(s)
			if err != nil {
				return err
			}
			if v < low || v > high {
				return fmt.Errorf("%s: want %s to %s", quote(s), sizeText(low), sizeText(high))
			}
			*p = v
			return nil
		},
		text: func() string { return sizeText(*p) },
	}
}

func parseSize(s string) (int, error) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%s: want a size in bytes, KiB or MiB, such as 131072 or 128KiB", quote(s))
	}
	// 31 bits, shifted by 20 at most, fit into an int.
	v, err := strconv.ParseUint(m[1], 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: too large", quote(s))
	}
	switch m[2] {
	case "KiB":
		v <<= 10
	case "MiB":
		v <<= 20
	}
	return int(v), nil
}

// prefixes binds a list of networks, at most 64.
func prefixes(p *[]netip.Prefix) binding {
	return binding{
		form: schema{
			Type: typeList, Pattern: `^$`, MaxItems: 64,
			Items: &schema{Type: types{"string"}, Pattern: `^[0-9A-Fa-f:.]+/[0-9]+$`},
		},
		clear: func() { *p = nil },
		set: func(n *yaml.Node) error {
			s, err := scalar(n, "a prefix, such as 10.0.0.0/8", "!!str")
			if err != nil {
				return err
			}
			prefix, err := netip.ParsePrefix(s)
			switch {
			case err != nil || prefix.Addr().Is4In6():
				return fmt.Errorf("%s: want a prefix, such as 10.0.0.0/8 or ::1/128", quote(s))
			case prefix != prefix.Masked():
				return fmt.Errorf("%s: the address has bits beyond the prefix; did you mean %s?", quote(s), prefix.Masked())
			case len(*p) == 64:
				return errors.New("more than 64 prefixes")
			}
			*p = append(*p, prefix)
			return nil
		},
		text: func() string {
			texts := make([]string, len(*p))
			for i, prefix := range *p {
				texts[i] = strconv.Quote(prefix.String())
			}
			return "[" + strings.Join(texts, ", ") + "]"
		},
	}
}
