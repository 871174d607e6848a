package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// Action is what a session wants to do. The zero value is no action and is
// always denied.
type Action uint8

// The actions that a broker asks about, each with the resource that its name is
// matched as. Other actions of AWS may stand in a document and match nothing.
const (
	Connect       Action = iota + 1 // client/ID
	Publish                         // topic/NAME
	RetainPublish                   // topic/NAME; asked in addition to Publish
	Subscribe                       // topicfilter/FILTER
	Receive                         // topic/NAME; asked for each delivery
	actionEnd
)

// String returns the name as it stands in a document, such as "iot:Connect".
func (a Action) String() string {
	switch a {
	case Connect:
		return "iot:Connect"
	case Publish:
		return "iot:Publish"
	case RetainPublish:
		return "iot:RetainPublish"
	case Subscribe:
		return "iot:Subscribe"
	case Receive:
		return "iot:Receive"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// ParseAction reads a name as String writes it, in any case.
func ParseAction(name string) (Action, bool) {
	for a := Connect; a < actionEnd; a++ {
		if strings.EqualFold(a.String(), name) {
			return a, true
		}
	}
	return 0, false
}

// Resource returns what stands before the name in the resource of an action,
// such as "topic/"; "" for no action.
func (a Action) Resource() string {
	if !a.valid() {
		return ""
	}
	return a.kind().String() + "/"
}

// resourceKind is the part of an ARN that says what its name is.
type resourceKind uint8

const (
	client resourceKind = iota
	topic
	topicFilter
	kindEnd
)

func (k resourceKind) String() string {
	return [kindEnd]string{client: "client", topic: "topic", topicFilter: "topicfilter"}[k]
}

// kind must not be called on an action that valid rejects.
func (a Action) kind() resourceKind {
	return [actionEnd]resourceKind{
		Connect: client, Publish: topic, RetainPublish: topic, Subscribe: topicFilter, Receive: topic,
	}[a]
}

func (a Action) valid() bool { return 0 < a && a < actionEnd }

// actionSet is a set of actions, one bit each.
type actionSet uint8

func (s actionSet) has(a Action) bool { return s&(1<<a) != 0 }

var actionPattern = regexp.MustCompile(`^(\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+)$`)

// parseActions returns the known actions that some pattern matches. Names are
// compared without regard to case, as IAM does.
func parseActions(patterns []string) (actionSet, error) {
	var set actionSet
	for i, p := range patterns {
		if !actionPattern.MatchString(p) {
			return 0, fault(fmt.Sprintf("Action[%d]", i), "%q is no action; write a name such as iot:Publish, iot:* or *", p)
		}
		g := newGlob(strings.NewReplacer("*", anyString, "?", anyChar).Replace(strings.ToLower(p)))
		for a := Connect; a < actionEnd; a++ {
			if g.match("", strings.ToLower(a.String())) {
				set |= 1 << a
			}
		}
	}
	return set, nil
}
