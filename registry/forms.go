package registry

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// The forms of names, as in AWS IoT's model.
var (
	policyName     = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	templateName   = regexp.MustCompile(`^[0-9A-Za-z_-]{1,36}$`)
	thingName      = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	attributeName  = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#-]{1,128}$`)
	attributeValue = regexp.MustCompile(`^[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}$`)
	roleARN        = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+$`)
)

// The limits of AWS IoT.
const (
	maxTags              = 50
	maxTagKey            = 128
	maxTagValue          = 256
	maxTemplateBody      = 10240
	maxDescription       = 2028
	maxAttributesUntyped = 3
	maxAttributesTyped   = 50
	maxSearchable        = 3
	maxGroupLevels       = 7
	maxPolicies          = 10 // attached to one certificate or thing group
)

// maxThings is how many things a certificate may be attached to. AWS names no
// limit; every CONNECT looks at all of them.
const maxThings = 100

func checkName(what string, form *regexp.Regexp, name string) error {
	if !form.MatchString(name) {
		return fmt.Errorf("%s %.200q: want %s: %w", what, name, strings.Trim(form.String(), "^$"), muster.ErrInvalid)
	}
	return nil
}

func checkRoleARN(arn string) error {
	if len(arn) < 20 || len(arn) > 2048 || !roleARN.MatchString(arn) {
		return fmt.Errorf("role ARN %.200q: want arn:aws:iam::<12 digits>:role/<name>, at most 2,048 characters: %w", arn, muster.ErrInvalid)
	}
	return nil
}

func checkDescription(what, text string) error {
	if n := utf8.RuneCountInString(text); n > maxDescription || !utf8.ValidString(text) {
		return fmt.Errorf("%s: a description of %d characters, want at most %d: %w", what, n, maxDescription, muster.ErrInvalid)
	}
	return nil
}

// checkAttributes holds the attributes of a thing or group to their form. typed
// says that the thing has a type.
func checkAttributes(attributes map[string]string, typed bool) error {
	limit := maxAttributesUntyped
	if typed {
		limit = maxAttributesTyped
	}
	if len(attributes) > limit {
		return fmt.Errorf("%d attributes, want at most %d (%d with a thing type): %w", len(attributes), limit, maxAttributesTyped, muster.ErrInvalid)
	}
	for name, value := range attributes {
		if err := checkName("attribute", attributeName, name); err != nil {
			return err
		}
		if !attributeValue.MatchString(value) {
			return fmt.Errorf("attribute %s: value %.200q: want %s: %w", name, value, strings.Trim(attributeValue.String(), "^$"), muster.ErrInvalid)
		}
	}
	return nil
}

// sortedTags checks tags and returns a copy, sorted by key.
func sortedTags(tags []muster.Tag) ([]muster.Tag, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	if len(tags) > maxTags {
		return nil, fmt.Errorf("%d tags, want at most %d: %w", len(tags), maxTags, muster.ErrInvalid)
	}
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b muster.Tag) int { return cmp.Compare(a.Key, b.Key) })
	for i, tag := range tags {
		if err := checkTag(tag); err != nil {
			return nil, err
		}
		if i > 0 && tags[i-1].Key == tag.Key {
			return nil, fmt.Errorf("tag %q: given twice: %w", tag.Key, muster.ErrInvalid)
		}
	}
	return tags, nil
}

func checkTag(tag muster.Tag) error {
	key, value := utf8.RuneCountInString(tag.Key), utf8.RuneCountInString(tag.Value)
	switch {
	case key == 0 || key > maxTagKey || !utf8.ValidString(tag.Key):
		return fmt.Errorf("tag %.40q: a key of %d characters, want 1 to %d: %w", tag.Key, key, maxTagKey, muster.ErrInvalid)
	case value > maxTagValue || !utf8.ValidString(tag.Value):
		return fmt.Errorf("tag %s: a value of %d characters, want at most %d: %w", tag.Key, value, maxTagValue, muster.ErrInvalid)
	case len(tag.Key) >= 4 && strings.EqualFold(tag.Key[:4], "aws:"):
		return fmt.Errorf("tag %s: keys that begin with aws: are reserved: %w", tag.Key, muster.ErrInvalid)
	}
	return nil
}

// ocspMode returns the mode that the tag TagOCSP among tags sets.
func ocspMode(tags []muster.Tag) (mode muster.OCSPMode, set bool, err error) {
	for _, tag := range tags {
		if tag.Key != muster.TagOCSP {
			continue
		}
		switch mode := muster.OCSPMode(tag.Value); mode {
		case muster.OCSPOff, muster.OCSPSoft, muster.OCSPHard:
			return mode, true, nil
		}
		return "", false, fmt.Errorf("tag %s: %q, want off, soft or hard: %w", tag.Key, tag.Value, muster.ErrInvalid)
	}
	return "", false, nil
}
