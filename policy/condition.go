package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// condition is one operator applied to one key. All conditions of a statement
// have to hold.
type condition struct {
	operator operator
	key      key
	operands []operand // of which one has to match
}

// operand is a value that the policy names.
type operand struct {
	pattern pattern
	match   matcher // compiled once, if no session changes it
}

// isClock reports whether the condition is about the time of the question, so
// that a session cannot settle it when it is bound.
func (c *condition) isClock() bool { return c.key.kind == clock && !c.operator.test.null }

// in says what the condition comes to in a session. It must not be asked of
// one that isClock.
func (c *condition) in(s *scope) truth {
	values := s.values(&c.key)
	o := c.operator
	if o.test.null {
		absent := len(values) == 0 && c.key.kind != clock
		return c.any(s, strconv.FormatBool(absent))
	}
	switch {
	case len(values) == 0:
		return truthOf(o.ifExists || o.set == allOfSet || o.set == single && o.negated)
	case len(values) > 1 && o.set == single:
		return unknown
	}
	result := truthOf(o.set == allOfSet)
	for i, value := range values {
		t := c.any(s, value)
		if o.negated {
			t = t.not()
		}
		switch {
		case i == 0:
			result = t
		case o.set == allOfSet:
			result = min(result, t)
		default:
			result = max(result, t)
		}
	}
	return result
}

// any says whether a value matches one of the operands.
func (c *condition) any(s *scope, value string) truth {
	result := no
	for i := range c.operands {
		t := unknown // for want of a value of a variable
		if match := c.operands[i].bind(s, c.operator.test.compile); match != nil {
			t = match(value)
		}
		result = max(result, t)
	}
	return result
}

// bind returns the compiled operand; nil if a variable in it has no value, or
// one that does not fit the operator.
func (o *operand) bind(s *scope, compile func(string) (matcher, error)) matcher {
	if o.match != nil {
		return o.match
	}
	text, missing := o.pattern.bind(s)
	if missing != nil {
		return nil
	}
	match, err := compile(text)
	if err != nil {
		return nil
	}
	return match
}

// parseConditions reads the member Condition: operator → key → value or values.
// An empty object is no condition, as in AWS.
func parseConditions(value any) ([]condition, error) {
	operators, ok := value.(object)
	if !ok {
		return nil, fault("Condition", "%s; write an object", kindOf(value))
	}
	var conditions []condition
	for _, m := range operators {
		path := "Condition." + m.name
		operator, ok := parseOperator(m.name)
		if !ok {
			return nil, fault(path, "no condition operator; write one such as StringEquals or ForAnyValue:StringLike")
		}
		keys, ok := m.value.(object)
		if !ok {
			return nil, fault(path, "%s; write an object", kindOf(m.value))
		}
		if len(keys) == 0 {
			return nil, fault(path, "an empty object; leave it out")
		}
		for _, m := range keys {
			c, err := parseCondition(operator, m)
			if err != nil {
				return nil, fault(path+"."+m.name, "%w", err)
			}
			conditions = append(conditions, c)
		}
	}
	return conditions, nil
}

func parseCondition(o operator, m member) (condition, error) {
	if !keyName.MatchString(m.name) {
		return condition{}, errors.New("no condition key; write one such as iot:ConnectAttributes")
	}
	c := condition{operator: o, key: parseKey(m.name)}
	if c.isClock() && o.test.instant == nil {
		return condition{}, errors.New("the time is compared by operators such as DateLessThan")
	}
	values, err := conditionValues(o, m.value)
	if err != nil {
		return condition{}, err
	}
	c.operands = make([]operand, len(values))
	for i, value := range values {
		if c.operands[i], err = c.parseOperand(value); err != nil {
			return condition{}, fmt.Errorf("%q: %w", value, err)
		}
	}
	return c, nil
}

func (c *condition) parseOperand(text string) (operand, error) {
	p, err := parsePattern(text, c.operator.test.wildcards)
	if err != nil || !p.fixed() {
		return operand{pattern: p}, err
	}
	text = p.parts[0].text
	if c.isClock() {
		_, err := c.operator.test.instant(text)
		return operand{pattern: p}, err
	}
	match, err := c.operator.test.compile(text)
	return operand{pattern: p, match: match}, err
}

// conditionValues reads a string, number or boolean, or several of them. None
// at all is a set to compare with, but no value.
func conditionValues(o operator, value any) ([]string, error) {
	list, ok := value.(array)
	if !ok {
		list = array{value}
	}
	if len(list) == 0 && o.set == single {
		return nil, errors.New("an empty array; name at least one value")
	}
	values := make([]string, len(list))
	for i, value := range list {
		switch value := value.(type) {
		case string:
			values[i] = value
		case json.Number:
			values[i] = value.String()
		case bool:
			values[i] = strconv.FormatBool(value)
		default:
			return nil, fmt.Errorf("%s; write a string, number or boolean, or an array of them", kindOf(value))
		}
	}
	return values, nil
}

// conditionsHold reports whether a statement takes part in a session, as far as
// the session can tell.
func (s *statement) conditionsHold(in *scope) bool {
	return !slices.ContainsFunc(s.conditions, func(c condition) bool {
		return !c.isClock() && !c.in(in).applies(s.effect)
	})
}
